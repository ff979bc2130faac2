// Closes what a child process was given and does not need. Serves the guardian, a bare clone: uses
// no lock, no heap, no errno, and nothing that a kernel as old as 4.18 lacks.
#pragma once

#include <cstddef>

namespace vmtpy::linux {

// Closes all descriptors of the process but those in `kept`, which ascend.
void close_all_but(const int* kept, std::size_t count);

}  // namespace vmtpy::linux
