// Threads of the freeze path: detached, small, deaf to signals, so that no handler of the program
// that we live in ever runs on them; with the few rights of their role. What they use they keep
// alive themselves.
#pragma once

#include <functional>

#include "core/privileges.h"

namespace vmtpy {

// 0, or the error number (positive) of pthread_create. `name`: a literal of up to 15 characters.
int start_thread(const char* name, Role role, std::function<void()> body);

}  // namespace vmtpy
