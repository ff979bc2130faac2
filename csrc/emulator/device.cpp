// The commands of the backdoor, the lock of the emulated host, and the stun. It relies on Channels
// for MESSAGE, and on machine.h for facts.
#include "emulator/device.h"

#include <condition_variable>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "base/thread_safety.h"
#include "emulator/channels.h"
#include "emulator/machine.h"
#include "emulator/rpci_answers.h"
#include "emulator/transcript.h"
#include "wire/wire.h"

namespace vmtpy::emulator {

namespace {

constexpr std::uint32_t BACKDOOR_VERSION = 6;
constexpr std::uint32_t HARDWARE_VERSION = 19;
constexpr std::uint32_t APIC_BUS_HZ = 66'000'000;
constexpr std::uint32_t VCPU_LEGACY_X2APIC = 1 << 3;
// The UUID 564d5668-6f73-7420-656d-756c61746564 as four little-endian words.
constexpr std::uint32_t UUID[4] = {0x68564D56, 0x2074736F, 0x6C756D65, 0x64657461};

// The keys under which traps are counted. Other keys are a command, with the step of a MESSAGE
// above it.
constexpr std::uint32_t HIGH_OUT_KEY = 0xFFFF0001;
constexpr std::uint32_t HIGH_IN_KEY = 0xFFFF0002;
constexpr std::uint32_t BAD_FLAGS_KEY = 0xFFFF0003;

constexpr std::pair<wire::Command, const char*> COMMAND_NAMES[] = {
    {wire::GETMHZ, "GETMHZ"},
    {wire::GETVERSION, "GETVERSION"},
    {wire::GETGUIOPTIONS, "GETGUIOPTIONS"},
    {wire::GETHWVERSION, "GETHWVERSION"},
    {wire::GETUUID, "GETUUID"},
    {wire::GETMEMSIZE, "GETMEMSIZE"},
    {wire::GETTIME, "GETTIME"},
    {wire::STOPCATCHUP, "STOPCATCHUP"},
    {wire::GETHZ, "GETHZ"},
    {wire::GETTIMEFULL, "GETTIMEFULL"},
    {wire::GETTIMEFULL_WITH_LAG, "GETTIMEFULL_WITH_LAG"},
    {wire::GET_VCPU_INFO, "GET_VCPU_INFO"},
};

std::string step_name(std::uint16_t step) {
  static const char* const NAMES[] = {"OPEN",        "SENDSIZE",   "SENDPAYLOAD", "RECVSIZE",
                                      "RECVPAYLOAD", "RECVSTATUS", "CLOSE"};
  return step < std::size(NAMES) ? NAMES[step] : std::to_string(step);
}

std::string trap_name(Carrier carrier, std::uint32_t key) {
  if (carrier != Carrier::PORT) {
    std::string name = carrier == Carrier::VMCALL ? "vmcall " : "vmmcall ";
    if (key == HIGH_OUT_KEY) return name + "HB out";
    if (key == HIGH_IN_KEY) return name + "HB in";
    if (key == BAD_FLAGS_KEY) return name + "with unknown flags";
    return name + trap_name(Carrier::PORT, key);
  }
  if (key == HIGH_OUT_KEY) return "rep outsb";
  if (key == HIGH_IN_KEY) return "rep insb";
  const std::uint32_t command = key & 0xFFFF;
  if (command == wire::MESSAGE) {
    return "MESSAGE " + step_name(static_cast<std::uint16_t>(key >> 16));
  }
  for (const auto& [number, name] : COMMAND_NAMES) {
    if (number == command) return name;
  }
  return "command " + std::to_string(command);
}

void get_uuid(wire::Registers& registers) {
  registers.rax = UUID[0];
  registers.rbx = UUID[1];
  registers.rcx = UUID[2];
  registers.rdx = UUID[3];
}

void get_time(wire::Registers& registers) {
  WallTime now = wall_time();
  registers.rax = static_cast<std::uint32_t>(now.seconds);
  registers.rbx = now.microseconds;
  registers.rcx = 0;  // the largest lag
}

void get_time_full(wire::Registers& registers) {
  WallTime now = wall_time();
  registers.rax = wire::MAGIC;
  registers.rsi = now.seconds >> 32;
  registers.rdx = static_cast<std::uint32_t>(now.seconds);
  registers.rbx = now.microseconds;
  registers.rcx = 0;
}

void get_hz(wire::Registers& registers) {
  registers.rax = static_cast<std::uint32_t>(tsc_hz());
  registers.rbx = tsc_hz() >> 32;
  registers.rcx = APIC_BUS_HZ;
}

}  // namespace

// Owned by the Device and as long-lived. Its lock guards all but what has its own.
class Device::State {
 public:
  State(Clock& clock, DeviceOptions wanted)
      : clock(clock),
        options(wanted),
        answers(wanted.secure),
        transcript(clock),
        channels(options, answers, tclo, transcript) {}

  void low(wire::Registers& registers) REQUIRES(mutex);
  void wait_while_stunned(MutexLock& lock) REQUIRES(mutex);
  void trap(Carrier carrier, Instruction instruction, wire::Registers& registers,
            GuestMemory& memory);
  void count(Carrier carrier, Instruction instruction, const wire::Registers& registers)
      REQUIRES(mutex);

  Clock& clock;
  const DeviceOptions options;
  RpciAnswers answers;    // has its own lock
  Transcript transcript;  // has its own lock
  mutable Mutex mutex;    // guards the members below
  TcloQueue tclo GUARDED_BY(mutex);
  Channels channels GUARDED_BY(mutex);
  std::map<std::pair<Carrier, std::uint32_t>, std::uint64_t> traps GUARDED_BY(mutex);
  bool over GUARDED_BY(mutex) = false;
  std::condition_variable tools_changed;       // notified when tclo_seen() or `over` changes
  bool stun_wanted GUARDED_BY(mutex) = false;  // the stun begins as soon as a message is in flight
  bool stunned GUARDED_BY(mutex) = false;
  std::thread::id other_than GUARDED_BY(mutex);  // this thread may not trap while stunned
  std::condition_variable stun_changed;          // notified when `stunned` or `over` changes
};

void Device::State::low(wire::Registers& registers) {
  switch (registers.rcx & 0xFFFF) {
    case wire::GETVERSION:
      registers.rax = BACKDOOR_VERSION;
      registers.rbx = wire::MAGIC;
      registers.rcx = options.product;
      return;
    case wire::GETMHZ:
      registers.rax = tsc_hz() / 1'000'000;
      return;
    case wire::GETGUIOPTIONS:
      registers.rax = answers.keeps_time() ? wire::GUI_SYNC_TIME : 0;
      return;
    case wire::GETHWVERSION:
      registers.rax = HARDWARE_VERSION;
      return;
    case wire::GETUUID:
      return get_uuid(registers);
    case wire::GETMEMSIZE:
      registers.rax = memory_mib();
      return;
    case wire::GETTIME:
      return get_time(registers);
    case wire::STOPCATCHUP:
      registers.rax = 0;
      return;
    case wire::MESSAGE:
      if (options.message) return channels.message(registers);
      break;
    case wire::GETHZ:
      return get_hz(registers);
    case wire::GETTIMEFULL:
      return get_time_full(registers);
    case wire::GETTIMEFULL_WITH_LAG:
      registers.rdi = 0;
      return get_time_full(registers);
    case wire::GET_VCPU_INFO:
      registers.rax = VCPU_LEGACY_X2APIC;
      return;
    default:
      break;
  }
  registers.rax = wire::UNKNOWN_COMMAND;
}

void Device::State::count(Carrier carrier, Instruction instruction,
                          const wire::Registers& registers) {
  auto ecx = static_cast<std::uint32_t>(registers.rcx);
  std::uint32_t key = HIGH_OUT_KEY;
  if (instruction == Instruction::HIGH_IN) key = HIGH_IN_KEY;
  if (instruction == Instruction::LOW) {
    key = (ecx & 0xFFFF) == wire::MESSAGE ? ecx : ecx & 0xFFFF;
  }
  ++traps[{carrier, key}];
}

Device::Device(Clock& clock, DeviceOptions options)
    : state_(std::make_unique<State>(clock, options)), vsock_pairs_(clock) {}
Device::~Device() = default;

void Device::State::trap(Carrier carrier, Instruction instruction, wire::Registers& registers,
                         GuestMemory& memory) {
  MutexLock lock(mutex);
  wait_while_stunned(lock);
  count(carrier, instruction, registers);
  if (instruction == Instruction::LOW) {
    bool seen = tclo.seen();
    low(registers);
    if (seen != tclo.seen()) tools_changed.notify_all();
  } else if (!options.message) {
    registers.rax = wire::UNKNOWN_COMMAND;
  } else if (instruction == Instruction::HIGH_OUT) {
    channels.high_out(registers, memory);
  } else {
    channels.high_in(registers, memory);
  }
  if (stun_wanted && channels.in_flight()) {
    stun_wanted = false;
    stunned = true;
    stun_changed.notify_all();
  }
  if (options.dirty_upper_halves) {
    constexpr std::uint64_t RUBBISH = 0xDEADBEEF00000000;
    for (std::uint64_t* result : {&registers.rax, &registers.rbx, &registers.rcx, &registers.rdx}) {
      *result |= RUBBISH;
    }
    if (instruction == Instruction::LOW) {
      registers.rsi |= RUBBISH;
      registers.rdi |= RUBBISH;
    }
  }
}

void Device::State::wait_while_stunned(MutexLock& lock) {
  if (stunned && !over && other_than == std::this_thread::get_id()) {
    throw Error("the host is silent until this thread goes on: let another thread ask");
  }
  stun_changed.wait(lock, [this]() REQUIRES(mutex) { return !stunned || over; });
}

void Device::trap(Instruction instruction, wire::Registers& registers, GuestMemory& memory) {
  state_->trap(Carrier::PORT, instruction, registers, memory);
}

void Device::hypercall(Carrier carrier, wire::Registers& registers, GuestMemory& memory) {
  auto flags = static_cast<std::uint16_t>(registers.rdx);
  if ((flags & ~(wire::FLAG_HB | wire::FLAG_OUT)) != 0) {  // perhaps the number of a port
    MutexLock guard(state_->mutex);
    ++state_->traps[{carrier, BAD_FLAGS_KEY}];
    registers.rax = wire::UNKNOWN_COMMAND;
    return;
  }
  Instruction instruction = Instruction::LOW;  // the direction does not matter
  if ((flags & wire::FLAG_HB) != 0) {
    bool out = (flags & wire::FLAG_OUT) != 0;
    instruction = out ? Instruction::HIGH_OUT : Instruction::HIGH_IN;
  }
  state_->trap(carrier, instruction, registers, memory);
}

std::string Device::answer(std::string request, Transport transport) {
  std::string reply = state_->answers.answer(request, transport);
  state_->transcript.add(MessageKind::RPCI, transport, std::move(request), reply);
  return reply;
}

void Device::open_tclo(TcloQueue::Client client, TcloQueue::Wake wake) {
  MutexLock guard(state_->mutex);
  state_->tclo.open(client, std::move(wake));
  state_->tools_changed.notify_all();
}

void Device::close_tclo(TcloQueue::Client client) {
  MutexLock guard(state_->mutex);
  state_->tclo.close(client);
}

bool Device::has_tclo(TcloQueue::Client client) const {
  MutexLock guard(state_->mutex);
  return state_->tclo.is_current(client);
}

std::optional<std::string> Device::take_command(TcloQueue::Client client, Transport transport) {
  MutexLock guard(state_->mutex);
  if (!state_->tclo.next(client)) return std::nullopt;
  std::string command = state_->tclo.take();
  state_->transcript.add(MessageKind::TCLO_COMMAND, transport, command);
  return command;
}

void Device::take_tclo_reply(TcloQueue::Client client, std::string reply, Transport transport) {
  MutexLock guard(state_->mutex);
  state_->tclo.answered(client);
  state_->transcript.add(MessageKind::TCLO_REPLY, transport, std::move(reply));
}

void Device::send_command(std::string command) {
  MutexLock guard(state_->mutex);
  state_->tclo.send(std::move(command));
}

void Device::set_guestinfo(std::string key, std::string value) {
  state_->answers.set_guestinfo(std::move(key), std::move(value));
}

std::optional<std::string> Device::guestinfo(const std::string& key) const {
  return state_->answers.guestinfo(key);
}

void Device::answer_with(std::string prefix, std::string reply, int times, bool whole) {
  state_->answers.answer_with(std::move(prefix), std::move(reply), times, whole);
}

void Device::misbehave(const Misbehaviour& how) {
  MutexLock guard(state_->mutex);
  state_->channels.misbehave(how);
}

bool Device::stun(Time deadline, bool other_threads) {
  MutexLock lock(state_->mutex);
  state_->other_than = other_threads ? std::this_thread::get_id() : std::thread::id();
  state_->stunned = state_->channels.in_flight();
  state_->stun_wanted = !state_->stunned;
  while (!state_->stunned && !state_->over &&
         state_->clock.wait_until(lock, state_->stun_changed, deadline)) {
  }
  state_->stun_wanted = false;
  state_->stunned = true;
  return state_->channels.in_flight();
}

void Device::resume() {
  MutexLock guard(state_->mutex);
  if (!state_->stunned) return;
  state_->stunned = false;
  state_->channels.checkpoint();
  state_->stun_changed.notify_all();
}

bool Device::stunned() const {
  MutexLock guard(state_->mutex);
  return state_->stunned && !state_->over;
}

bool Device::in_flight() const {
  MutexLock guard(state_->mutex);
  return state_->channels.in_flight();
}

void Device::checkpoint() {
  MutexLock guard(state_->mutex);
  state_->channels.checkpoint();
}

void Device::lose_channels() {
  MutexLock guard(state_->mutex);
  state_->channels.lose();
}

bool Device::tclo_seen() const {
  MutexLock guard(state_->mutex);
  return state_->tclo.seen();
}

bool Device::wait_for_tools(Time deadline) {
  MutexLock lock(state_->mutex);
  while (!state_->tclo.seen() && !state_->over &&
         state_->clock.wait_until(lock, state_->tools_changed, deadline)) {
  }
  return state_->tclo.seen();
}

void Device::end_waits() {
  state_->transcript.end_waits();
  MutexLock guard(state_->mutex);
  state_->over = true;
  state_->tools_changed.notify_all();
  state_->stun_changed.notify_all();
}

int Device::open_channels() const {
  MutexLock guard(state_->mutex);
  return state_->channels.open_count();
}

std::vector<TranscriptEntry> Device::take_transcript(Time deadline) {
  return state_->transcript.take(deadline);
}

std::uint64_t Device::messages() const {
  return state_->transcript.count();
}

std::map<std::string, std::uint64_t> Device::traps() const {
  MutexLock guard(state_->mutex);
  std::map<std::string, std::uint64_t> named;
  for (auto [key, number] : state_->traps) named[trap_name(key.first, key.second)] += number;
  return named;
}

}  // namespace vmtpy::emulator
