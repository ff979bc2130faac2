// Threads of the freeze path. They are detached and small, have the few rights of their role, and
// block signals, so that no handler of the program that embeds vmtpy runs on them. Each thread
// keeps alive what it uses.
#pragma once

#include <functional>
#include <thread>

#include "linux/thread_role.h"

namespace vmtpy::linux {

// Returns 0, or the (positive) error number of pthread_create. `name` is a literal of up to 15
// characters.
int start_thread(const char* name, Role role, std::function<void()> body);

// Prepares the calling thread for its first throw. That throw takes memory of its own, and where
// there is none the C library ends the process, so the memory is taken while there is some.
void prepare_to_throw();

// Called in a fork of the process that started `thread`, for the fork's copy of the owner. The
// thread does not exist there and glibc has given its stack away, so joining or detaching would
// corrupt memory.
void abandon(std::thread thread);

}  // namespace vmtpy::linux
