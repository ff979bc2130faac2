// The capabilities of each role, and how a thread gives up the rest: capset, no_new_privs and the
// filter of system calls.
#include "linux/thread_role.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/syscall_filter.h"

namespace vmtpy::linux {

namespace {

struct Held {
  Capabilities effective = 0, permitted = 0, inheritable = 0;
};

constexpr Capabilities bit(int number) {
  return Capabilities{1} << number;
}

// Every role has it: memory is locked (MCL_FUTURE), and without this right a thread can get no
// more.
constexpr Capabilities MEMORY = bit(CAP_IPC_LOCK);
// These are for the processor's ports and for the vsock ports that only the privileged may use.
constexpr Capabilities HOST = bit(CAP_SYS_RAWIO) | bit(CAP_NET_BIND_SERVICE);
constexpr Capabilities READ_ALL = bit(CAP_DAC_READ_SEARCH);
constexpr Capabilities FREEZE = bit(CAP_SYS_ADMIN);

constexpr Capabilities LOOP = MEMORY | HOST;
constexpr Capabilities STATUS = MEMORY | HOST;  // the status thread asks the host for its name
constexpr Capabilities FREEZER = MEMORY | FREEZE | READ_ALL;
constexpr Capabilities SCOUT = MEMORY | READ_ALL | bit(CAP_SYS_PTRACE);
// The guardian thaws, removes the marker and writes rcu_expedited.
constexpr Capabilities GUARDIAN = MEMORY | FREEZE | bit(CAP_DAC_OVERRIDE);
// The conductor protects itself from the OOM killer before it takes its role.
constexpr Capabilities CONDUCTOR = FREEZER | SCOUT | GUARDIAN | bit(CAP_SYS_RESOURCE);
// Python reads and writes others' directories (hooks, records), finds an NTP daemon under hidepid=,
// sets the clock, and signals hooks' processes.
constexpr Capabilities MAIN = MEMORY | HOST | READ_ALL | bit(CAP_DAC_OVERRIDE) |
                              bit(CAP_SYS_PTRACE) | bit(CAP_SYS_TIME) | bit(CAP_KILL);
// The main thread keeps these permitted for the threads that it starts, which take them up.
constexpr Capabilities RESERVE = LOOP | STATUS | CONDUCTOR;

bool confined = false;

Capabilities needed(Role role) {
  switch (role) {
    case Role::MAIN:
      return MAIN;
    case Role::STATUS:
      return STATUS;
    case Role::LOOP:
      return LOOP;
    case Role::CONDUCTOR:
      return CONDUCTOR;
    case Role::FREEZER:
      return FREEZER;
    case Role::SCOUT:
      return SCOUT;
    case Role::GUARDIAN:
      return GUARDIAN;
  }
  return 0;
}

Held read_held() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return {};
  const auto join = [](std::uint32_t low, std::uint32_t high) {
    return Capabilities{high} << 32 | low;
  };
  return {join(data[0].effective, data[1].effective), join(data[0].permitted, data[1].permitted),
          join(data[0].inheritable, data[1].inheritable)};
}

void hold(const Held& held) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(held.effective >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(held.permitted >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(held.inheritable >> (32 * half));
  }
  syscall(SYS_capset, &header, data);  // the kernel never refuses to take rights away
}

// Says whether a program that this thread starts gets all that root may have, whatever this thread
// has. With no_new_privs (a unit's NoNewPrivileges=) it gets no more than is permitted here.
bool exec_restores() {
  return geteuid() == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 &&
         (prctl(PR_GET_SECUREBITS) & SECBIT_NOROOT) == 0;
}

void take_main_role() {
  Held held = read_held();
  held.effective &= MAIN;
  if (exec_restores()) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    held.permitted &= MAIN | RESERVE;
    held.inheritable = 0;
  }
  hold(held);
}

}  // namespace

void confine_process() {
  prepare_syscall_filter();
  confined = true;
}

void take_role(Role role) {
  if (!confined) return;
  if (role == Role::MAIN) return take_main_role();
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const Capabilities kept = read_held().permitted & needed(role);
  hold({kept, kept, 0});
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The conductor starts the threads of the other roles, and they inherit its filter.
  if (role == Role::LOOP || role == Role::CONDUCTOR || role == Role::STATUS) filter_syscalls();
}

Capabilities effective_capabilities() {
  return read_held().effective;
}

std::string to_text(Capabilities capabilities) {
  static constexpr struct {
    int number;
    const char* name;
  } NAMES[] = {
      {CAP_DAC_OVERRIDE, "cap_dac_override"},
      {CAP_DAC_READ_SEARCH, "cap_dac_read_search"},
      {CAP_KILL, "cap_kill"},
      {CAP_NET_BIND_SERVICE, "cap_net_bind_service"},
      {CAP_IPC_LOCK, "cap_ipc_lock"},
      {CAP_SYS_RAWIO, "cap_sys_rawio"},
      {CAP_SYS_PTRACE, "cap_sys_ptrace"},
      {CAP_SYS_TIME, "cap_sys_time"},
  };
  std::string text;
  for (const auto& [number, name] : NAMES) {
    if (!(capabilities & bit(number))) continue;
    if (!text.empty()) text += ' ';
    text += name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace vmtpy::linux
