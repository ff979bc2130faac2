// Reads hardware facts and the host's time, register by register, by the commands of wire/wire.h.
// It relies on a backdoor that does not fault.
#include "wire/hardware.h"

#include <cstdio>

#include "wire/wire.h"

namespace vmtpy::wire {
namespace {

struct Answer {
  std::uint32_t eax, ebx, ecx, edx, esi, edi;
};

Answer ask(Backdoor& backdoor, wire::Command command) {
  Registers registers;
  registers.rax = wire::MAGIC;
  registers.rbx = ~wire::MAGIC;
  registers.rcx = command;
  registers.rdx = wire::PORT_LB;
  backdoor.low(registers);
  auto low32 = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  return {low32(registers.rax), low32(registers.rbx), low32(registers.rcx),
          low32(registers.rdx), low32(registers.rsi), low32(registers.rdi)};
}

std::optional<std::uint32_t> number(Backdoor& backdoor, wire::Command command) {
  std::uint32_t eax = ask(backdoor, command).eax;
  // An unchanged magic means that nothing behind the port knows the command.
  if (eax == wire::UNKNOWN_COMMAND || eax == wire::MAGIC) return std::nullopt;
  return eax;
}

// QEMU's vmport answers in bytes, and puts this into ebx.
constexpr std::uint32_t IN_BYTES = 0x1177;

std::optional<std::uint32_t> memory_mib(Backdoor& backdoor) {
  Answer answer = ask(backdoor, wire::GETMEMSIZE);
  if (answer.eax == wire::UNKNOWN_COMMAND || answer.eax == wire::MAGIC) return std::nullopt;
  return answer.ebx == IN_BYTES ? answer.eax >> 20 : answer.eax;
}

// The sixteen bytes come in the order in which they are written, four in each register, the lowest
// first.
std::optional<std::string> read_uuid(Backdoor& backdoor) {
  Answer answer = ask(backdoor, wire::GETUUID);
  if (answer.eax == wire::UNKNOWN_COMMAND && answer.ebx == ~wire::MAGIC) return std::nullopt;
  std::string text;
  int count = 0;
  for (std::uint32_t word : {answer.eax, answer.ebx, answer.ecx, answer.edx}) {
    for (int i = 0; i < 4; ++i, ++count) {
      if (count == 4 || count == 6 || count == 8 || count == 10) text += '-';
      char byte[3];
      std::snprintf(byte, sizeof byte, "%02x", (word >> (8 * i)) & 0xFF);
      text += byte;
    }
  }
  return text;
}

}  // namespace

Hardware read_hardware(Backdoor& backdoor) {
  Hardware hardware;
  hardware.hardware_version = number(backdoor, wire::GETHWVERSION);
  hardware.uuid = read_uuid(backdoor);
  hardware.memory_mib = memory_mib(backdoor);
  hardware.cpu_mhz = number(backdoor, wire::GETMHZ);
  return hardware;
}

std::optional<bool> read_time_option(Backdoor& backdoor) {
  std::optional<std::uint32_t> options = number(backdoor, wire::GETGUIOPTIONS);
  if (!options) return std::nullopt;
  return (*options & wire::GUI_SYNC_TIME) != 0;
}

std::optional<HostTime> read_host_time(Backdoor& backdoor) {
  constexpr std::int64_t SECOND = 1000000;
  // The newest command comes first. The host knows a command when it answers with the magic in eax.
  for (wire::Command command : {wire::GETTIMEFULL_WITH_LAG, wire::GETTIMEFULL}) {
    Answer answer = ask(backdoor, command);
    if (answer.eax != wire::MAGIC) continue;
    auto seconds = static_cast<std::int64_t>(std::uint64_t{answer.esi} << 32 | answer.edx);
    if (seconds <= 0 || seconds > INT64_MAX / (2 * SECOND)) return std::nullopt;
    std::int64_t lag = command == wire::GETTIMEFULL_WITH_LAG ? answer.edi : 0;
    return HostTime{seconds * SECOND + answer.ebx, answer.ecx, lag};
  }
  Answer answer = ask(backdoor, wire::GETTIME);  // this command has 32 bits for the seconds
  if (answer.eax == wire::UNKNOWN_COMMAND || answer.eax == 0) return std::nullopt;
  return HostTime{answer.eax * SECOND + answer.ebx, answer.ecx, 0};
}

}  // namespace vmtpy::wire
