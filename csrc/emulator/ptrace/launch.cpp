// Forks, installs the filter in the child, seizes it, and lets it exec. Two pipes carry the start
// and the failure.
#include "emulator/ptrace/launch.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/errors.h"
#include "emulator/ptrace/newer_kernel.h"
#include "emulator/ptrace/seccomp_filter.h"
#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

namespace {

constexpr unsigned long OPTIONS = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                  PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;

// A pipe that lives in one call of launch() and is closed with it.
struct Pipe {
  int ends[2] = {-1, -1};
  int open() { return pipe2(ends, O_CLOEXEC); }
  void close(int end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
  ~Pipe() {
    close(0);
    close(1);
  }
};

// Becomes the program. Between fork and exec only async-signal-safe calls are allowed, because
// other threads may hold any lock.
[[noreturn]] void become(char* const* arguments, const sigset_t& mask, bool filtered, Pipe& go,
                         Pipe& failure) {
  close(go.ends[1]);
  if (filtered) {
    int listener = install_vsock_filter();
    if (write(failure.ends[1], &listener, sizeof listener) != sizeof listener) _exit(127);
  } else {
    // Where the filter is refused, the program is traced all the same.
    install_vsock_refusal();
  }
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    bool restore = number == SIGPIPE || number == SIGXFSZ;
    if (action.sa_handler != SIG_DFL && (action.sa_handler != SIG_IGN || restore)) {
      action.sa_handler = SIG_DFL;
      action.sa_flags = 0;
      sigaction(number, &action, nullptr);
    }
  }
  char byte = 0;
  if (read(go.ends[0], &byte, 1) != 1) _exit(127);  // nobody traces this process
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  execvp(arguments[0], arguments);
  int error = errno;
  [[maybe_unused]] ssize_t written = write(failure.ends[1], &error, sizeof error);
  _exit(127);
}

// Takes from the child the descriptor on which the kernel asks about the child's system calls.
// Returns -errno on failure.
int take_listener(pid_t child, Pipe& from) {
  int number = -ECHILD;
  if (read(from.ends[0], &number, sizeof number) != sizeof number) return -ECHILD;
  if (number < 0) return number;
  int process = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (process < 0) return -errno;
  int listener = static_cast<int>(syscall(SYS_pidfd_getfd, process, number, 0));
  int error = errno;
  close(process);
  return listener < 0 ? -error : listener;
}

void end(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, __WALL);
}

// Returns true at the exec, and false when the child has ended without one.
bool wait_for_exec(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status)) {
    int event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) return true;
    Tracee tracee(child);
    bool group_stop = event == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP;
    if (group_stop) {
      tracee.listen();
    } else {
      tracee.resume(event == 0 ? WSTOPSIG(status) : 0);
    }
  }
  return false;
}

}  // namespace

pid_t launch(const std::vector<std::string>& command, const sigset_t& mask, UniqueFd* vsock_calls) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  if (command.empty()) throw SystemError("exec", "", ENOENT);
  const std::string& program = command.front();

  Pipe go, failure;
  if (go.open() != 0 || failure.open() != 0) throw SystemError("pipe", program, errno);
  pid_t child = fork();
  if (child < 0) throw SystemError("fork", program, errno);
  if (child == 0) become(arguments.data(), mask, vsock_calls != nullptr, go, failure);
  failure.close(1);
  if (vsock_calls) {
    int listener = take_listener(child, failure);
    if (listener < 0) {
      end(child);
      throw SystemError("seccomp", program, -listener);
    }
    *vsock_calls = UniqueFd(listener);
  }
  if (ptrace(PTRACE_SEIZE, child, nullptr, reinterpret_cast<void*>(OPTIONS)) != 0) {
    int error = errno;
    end(child);
    throw SystemError("ptrace", program, error);
  }
  if (write(go.ends[1], "", 1) != 1) {
    int error = errno;
    end(child);
    throw SystemError("write", program, error);
  }
  if (wait_for_exec(child)) return child;
  int error = ECHILD;  // the child was killed before its exec
  [[maybe_unused]] ssize_t got = read(failure.ends[0], &error, sizeof error);
  throw SystemError("exec", program, error);
}

}  // namespace vmtpy::emulator
