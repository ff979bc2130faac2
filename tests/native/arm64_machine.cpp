// The first and only process of an arm64 machine under Debian's kernel, where faults and freezes
// are real. It runs the probe, the backdoor's instruction with a handler of SIGILL that plays the
// host, a freeze of a real ext4, and the guardian after a kill and at the limit. It prints a line
// for each and powers off. It relies on /loop.ko and /disk.img beside it.
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <set>

#include "arm64_talk.h"
#include "emulator/emulated_backdoor.h"
#include "freeze/session.h"
#include "plan/plan.h"

extern "C" {
void vmtpy_backdoor_in(vmtpy::wire::Registers* registers);
void vmtpy_backdoor_outsb(vmtpy::wire::Registers* registers);
void vmtpy_backdoor_insb(vmtpy::wire::Registers* registers);
}

using namespace vmtpy;
using namespace std::chrono_literals;

namespace {

SteadyClock clock_;
std::shared_ptr<emulator::Device> device = std::make_shared<emulator::Device>(clock_);

// --- the machine ------------------------------------------------------------------------------

void mount_all() {
  for (const char* type : {"proc", "sysfs", "devtmpfs"}) {
    const std::string point = type == std::string("devtmpfs") ? "/dev"
                              : type == std::string("proc")   ? "/proc"
                                                              : "/sys";
    ::mkdir(point.c_str(), 0755);
    CHECK(::mount(type, point.c_str(), type, 0, nullptr) == 0 || errno == EBUSY);
  }
  for (const char* point : {"/run", "/disk"}) ::mkdir(point, 0755);
  const int module = ::open("/loop.ko", O_RDONLY);
  CHECK(::syscall(SYS_finit_module, module, "", 0) == 0);
  const int loop = ::open("/dev/loop0", O_RDWR);
  CHECK(::ioctl(loop, LOOP_SET_FD, ::open("/disk.img", O_RDWR)) == 0);
  CHECK(::mount("/dev/loop0", "/disk", "ext4", 0, nullptr) == 0);
}

// --- the backdoor -----------------------------------------------------------------------------

constexpr std::uint32_t INSTRUCTION = 0xD533011F;  // mrs xzr, mdccsr_el0
constexpr std::uint32_t UNDEFINED = 0;             // udf #0
std::set<std::uint64_t> forbidden;
int trapped = 0;

// Replaces the instruction by an undefined one, which raises the same SIGILL. Linux forbids the
// instruction to user space, but the processors of QEMU 7.2 do not know that bit of MDSCR_EL1 and
// read on.
void forbid_instruction(void (*function)(wire::Registers*)) {
  const auto address = reinterpret_cast<std::uint64_t>(function);
  std::uint32_t* word = reinterpret_cast<std::uint32_t*>(address);
  while (*word != INSTRUCTION) CHECK(++word < reinterpret_cast<std::uint32_t*>(address) + 16);
  char* page = reinterpret_cast<char*>(address & ~std::uint64_t{4095});
  CHECK(::mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  *word = UNDEFINED;
  __builtin___clear_cache(page, page + 8192);
  forbidden.insert(reinterpret_cast<std::uint64_t>(word));
}

void play_host(int /*signal*/, siginfo_t* /*information*/, void* context) {
  mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  if (!forbidden.contains(machine.pc) || machine.regs[7] >> 32 != 0x86) {
    ::signal(SIGILL, SIG_DFL);  // another fault ends the process
    return;
  }
  wire::Registers registers;
  static_assert(sizeof registers == 7 * sizeof machine.regs[0]);
  std::memcpy(&registers, machine.regs, sizeof registers);
  emulator::EmulatedBackdoor host(device);
  switch (static_cast<std::uint32_t>(machine.regs[7])) {
    case 0x0E:
      host.low(registers);
      break;
    case 0x18:
      host.high_out(registers);
      break;
    case 0x1C:
      host.high_in(registers);
      break;
    default:
      ::signal(SIGILL, SIG_DFL);
      return;
  }
  std::memcpy(machine.regs, &registers, sizeof registers);
  machine.pc += 4;
  ++trapped;
}

std::string probe_survives() {
  const wire::Probe found = wire::probe_machine();
  CHECK(found.presence == wire::Presence::FAULT || found.presence == wire::Presence::NO_ANSWER);
  return found.reason;
}

std::string probe_faults() {
  forbid_instruction(vmtpy_backdoor_in);
  forbid_instruction(vmtpy_backdoor_outsb);
  forbid_instruction(vmtpy_backdoor_insb);
  const wire::Probe found = wire::probe_machine();
  CHECK(found.presence == wire::Presence::FAULT);
  return found.reason;
}

std::string instruction_traps() {
  struct sigaction action = {};
  action.sa_sigaction = play_host;
  action.sa_flags = SA_SIGINFO;
  CHECK(::sigaction(SIGILL, &action, nullptr) == 0);
  for (const char* command : {"ping", "end"}) device->send_command(command);
  wire::PortBackdoor backdoor;
  talk(backdoor);
  CHECK(trapped > 100 && device->open_channels() == 0);
  return std::to_string(trapped) + " traps";
}

// --- the freeze -------------------------------------------------------------------------------

// Starts a process that does `work` until it ends or is ended.
pid_t start(const std::function<void()>& work) {
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    work();
    ::_exit(0);
  }
  return child;
}

bool ends_within(pid_t child, std::chrono::milliseconds time) {
  pollfd ended = {static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
  CHECK(ended.fd >= 0);
  const bool over = ::poll(&ended, 1, static_cast<int>(time.count())) == 1;
  ::close(ended.fd);
  if (over) ::waitpid(child, nullptr, 0);
  return over;
}

pid_t start_writer() {
  return start([] { ::close(::open("/disk/written", O_CREAT | O_WRONLY, 0644)), ::sync(); });
}

std::vector<plan::Filesystem> planned() {
  const plan::Plan plan = plan::make_plan({{"/disk"}, {}, {}});
  CHECK(plan.filesystems.size() == 1 && plan.filesystems[0].type == "ext4");
  return plan.filesystems;
}

// How long a freeze takes is a matter of the emulated machine's speed.
std::unique_ptr<freeze::FreezeSession> frozen_session(Duration limit) {
  const freeze::FreezeOptions options{.timeout = limit, .filesystem_timeout = 60s};
  auto session =
      std::make_unique<freeze::FreezeSession>(linux::real_system(), clock_, planned(), options);
  session->start();
  CHECK(session->wait_for(freeze::Phase::FROZEN, clock_.now() + 60s));
  if (session->phase() != freeze::Phase::FROZEN) throw std::runtime_error(session->record().error);
  return session;
}

std::string freezes_and_thaws() {
  const auto session = frozen_session(60s);
  const pid_t writer = start_writer();
  CHECK(!ends_within(writer, 300ms));
  session->release();
  CHECK(session->wait_for(freeze::Phase::ENDED, clock_.now() + 20s));
  CHECK(session->record().outcome == freeze::Outcome::RELEASED);
  CHECK(ends_within(writer, 10s));
  return "a writer waited until the thaw";
}

// Sends a signal to an agent that has frozen, whose guardian then thaws.
std::string guardian_thaws_after(int signal, Duration limit, std::chrono::milliseconds patience) {
  int pipe[2];
  CHECK(::pipe(pipe) == 0);
  const pid_t agent = start([&] {
    const auto session = frozen_session(limit);
    CHECK(::write(pipe[1], "f", 1) == 1);
    ::pause();
  });
  ::close(pipe[1]);
  char byte;
  CHECK(::read(pipe[0], &byte, 1) == 1);
  ::close(pipe[0]);
  const pid_t writer = start_writer();
  CHECK(!ends_within(writer, 300ms));
  const Time before = clock_.now();
  ::kill(agent, signal);
  CHECK(ends_within(writer, patience));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - before);
  ::kill(agent, SIGKILL);
  CHECK(ends_within(agent, 10s));
  return "a writer went on after " + std::to_string(took.count()) + " ms";
}

// ----------------------------------------------------------------------------------------------

void say(const char* name, const std::function<std::string()>& step) {
  std::string text;
  try {
    text = "ok: " + step();
  } catch (const std::exception& error) {
    text = std::string("FAILED: ") + error.what();
  }
  std::printf("%s %s\n", name, text.c_str());
  std::fflush(stdout);
}

}  // namespace

int main() {
  if (::getpid() != 1) return std::fputs("this is the first process of a machine\n", stderr), 2;
  say("machine", [] { return mount_all(), std::string("Linux"); });
  say("probe", probe_survives);
  say("fault", probe_faults);
  say("instruction", instruction_traps);
  say("freeze", freezes_and_thaws);
  say("killed", [] { return guardian_thaws_after(SIGKILL, 60s, 20s); });
  say("stopped", [] { return guardian_thaws_after(SIGSTOP, 8s, 60s); });
  ::reboot(RB_POWER_OFF);
}
