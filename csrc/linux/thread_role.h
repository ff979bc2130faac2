// What a thread of `vmtpy run` may still do once it knows its role: a few capabilities each and,
// for all that never start a program, no new privileges and a filter of system calls. A program
// that embeds an agent never says confine_process(), and loses nothing.
//
// Hooks and power actions are root's programs: an exec by root gives back the bounding set, so they
// lose nothing by it. For that the main thread, which starts them, takes neither filter nor
// no_new_privs.
#pragma once

#include <cstdint>
#include <string>

namespace vmtpy::linux {

enum class Role {
  MAIN,       // Python: plan, services; starts hooks, power actions and sessions
  STATUS,     // answers `vmtpy status`
  LOOP,       // talks with the host
  CONDUCTOR,  // of a freeze session; what it starts has no more than it
  FREEZER,    // of one filesystem
  SCOUT,      // looks who is inside a write
  GUARDIAN,   // the process
};

using Capabilities = std::uint64_t;

// From now on take_role() means it. Before the first of them, by the main thread.
void confine_process();

// The calling thread keeps what its role needs, for good. Takes no lock, allocates nothing.
void take_role(Role role);

Capabilities effective_capabilities();           // of the calling thread
std::string to_text(Capabilities capabilities);  // "cap_kill cap_sys_time"

}  // namespace vmtpy::linux
