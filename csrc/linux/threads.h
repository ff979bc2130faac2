// Threads of the freeze path: detached, small, deaf to signals, so that no handler of the program
// that we live in ever runs on them; with the few rights of their role. What they use they keep
// alive themselves.
#pragma once

#include <functional>
#include <thread>

#include "linux/thread_role.h"

namespace vmtpy::linux {

// 0, or the error number (positive) of pthread_create. `name`: a literal of up to 15 characters.
int start_thread(const char* name, Role role, std::function<void()> body);

// For the calling thread. The first throw of a thread takes memory of its own for it, and where
// there is none the C library ends the process: so it is taken while there is some.
void prepare_to_throw();

// In a fork of the process that started `thread`, for the copy of an owner there. The thread does
// not exist there and glibc has given its stack away: to join or to detach it would corrupt memory.
void abandon(std::thread thread);

}  // namespace vmtpy::linux
