// Closes what a child process was given and does not need. This serves the guardian, which is a
// bare clone: the code takes no lock, uses no heap and no errno, and needs nothing that Linux 4.18
// lacks.
#pragma once

#include <cstddef>

namespace vmtpy::linux {

// Closes all descriptors of the process except those in `kept`, which must ascend.
void close_all_but(const int* kept, std::size_t count);

}  // namespace vmtpy::linux
