// The real operating system: each function is one system call or a few, and returns -errno. It
// serves every session outside of tests.
#include "linux/system.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/bare_syscall.h"
#include "base/unique_fd.h"

namespace vmtpy::linux {

namespace {

long or_error(long result) {
  return result < 0 ? -errno : result;
}

int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    if (written == 0) return -EIO;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

// The only object of this class lives until the process has ended; any thread may call it.
class RealSystem final : public System {
 public:
  int open_directory(const std::string& path) override {
    return static_cast<int>(or_error(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  }

  int close(int descriptor) override { return static_cast<int>(or_error(::close(descriptor))); }

  int mount_id(int descriptor, MountId& id) override { return read_mount_id(descriptor, id); }

  int sync(int descriptor) override { return static_cast<int>(or_error(::syncfs(descriptor))); }
  int freeze(int descriptor) override {
    return static_cast<int>(or_error(::ioctl(descriptor, FIFREEZE, 0)));
  }
  int thaw(int descriptor) override {
    return static_cast<int>(bare_syscall(SYS_ioctl, descriptor, FITHAW, 0));
  }

  // A bare clone stands in for glibc's fork for two reasons. It has no exit signal, so the program
  // that embeds vmtpy gets no SIGCHLD and its wait() for any child does not find the guardian. It
  // runs no atfork handlers, which may wait for locks.
  pid_t fork() override {
    return static_cast<pid_t>(or_error(::syscall(SYS_clone, 0UL, nullptr, nullptr, nullptr, 0UL)));
  }

  int read_file(const std::string& path, std::string& text) override {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return -errno;
    text.clear();
    char buffer[4096];
    ssize_t got;
    while ((got = ::read(file.get(), buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR)) {
      if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    }
    return got < 0 ? -errno : 0;
  }

  int write_file(const std::string& path, std::string_view text) override {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    return file ? write_all(file.get(), text) : -errno;
  }

  int create_file(const std::string& path, std::string_view text) override {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd file(::open(path.c_str(), flags, 0600));
    if (!file) return -errno;
    const int error = write_all(file.get(), text);
    if (error) ::unlink(path.c_str());
    return error;
  }

  int make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return 0;
    if (errno != EEXIST) return -errno;
    struct stat facts = {};
    if (::lstat(path.c_str(), &facts) != 0) return -errno;
    return S_ISDIR(facts.st_mode) ? 0 : -ENOTDIR;
  }

  int remove_file(const std::string& path) override {
    return static_cast<int>(or_error(::unlink(path.c_str())));
  }
};

constexpr int READINGS = 6;

}  // namespace

int read_mountinfo(System& system, std::string& text, const std::string& path) {
  std::string before;
  for (int reading = 0; reading < READINGS; ++reading) {
    before.swap(text);
    if (const int error = system.read_file(path, text)) return error;
    if (reading > 0 && text == before) break;
  }
  return 0;
}

System& real_system() {
  // The object is never destroyed, because a thread that is stuck in FIFREEZE may use it while the
  // process exits.
  static RealSystem& system = *new RealSystem;
  return system;
}

}  // namespace vmtpy::linux
