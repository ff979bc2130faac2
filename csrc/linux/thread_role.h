// What a thread of `vmtpy run` may still do once it has taken its role: a few capabilities each,
// and for all roles that never start a program no new privileges and a filter of system calls. A
// program that embeds an agent never calls confine_process(), and loses nothing.
//
// Hooks and power actions are root's programs. An exec by root gives back the bounding set, so they
// lose nothing either. That is why the main thread, which starts them, takes neither the filter nor
// no_new_privs.
#pragma once

#include <cstdint>
#include <string>

namespace vmtpy::linux {

enum class Role {
  MAIN,       // Python: it plans, runs the services, and starts hooks, power actions and sessions
  STATUS,     // answers `vmtpy status`
  LOOP,       // the agent's loop, which talks with the host
  CONDUCTOR,  // runs a freeze session; what it starts has no more rights than it
  FREEZER,    // opens and freezes one filesystem
  SCOUT,      // finds the programs that are inside a write
  GUARDIAN,   // the process that thaws when the agent cannot
};

using Capabilities = std::uint64_t;

// Makes take_role() effective from now on. The main thread calls it before the first take_role().
void confine_process();

// Leaves the calling thread what its role needs, for good. Takes no lock and allocates nothing.
void take_role(Role role);

Capabilities effective_capabilities();           // of the calling thread
std::string to_text(Capabilities capabilities);  // "cap_kill cap_sys_time"

}  // namespace vmtpy::linux
