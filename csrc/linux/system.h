// The seam for the operating system, as the freeze path uses it. A test can make every call fail
// (doubles/faulty_system.h) or have a simulated disk answer it (doubles/simulated_disk.h). Calls
// return -errno.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "linux/mount_id.h"

namespace vmtpy::linux {

// A System is owned by whoever makes the session, outlives it, and may be called from any thread.
class System {
 public:
  virtual ~System() = default;
  virtual int open_directory(const std::string& path) = 0;  // returns a descriptor with O_CLOEXEC
  virtual int close(int descriptor) = 0;
  virtual int mount_id(int descriptor, MountId& id) = 0;
  virtual int sync(int descriptor) = 0;  // syncfs(2)
  // FIFREEZE. The call waits, uninterruptibly, for writers that are inside the filesystem.
  virtual int freeze(int descriptor) = 0;
  // FITHAW. The guardian's threads call it too, so it uses no errno, no lock and no heap.
  virtual int thaw(int descriptor) = 0;
  // Makes the guardian's process. The child may use nothing that takes a lock or remembers a thread
  // id (no malloc, no pthread_*). It sends no SIGCHLD, and the parent waits for it with __WALL.
  virtual pid_t fork() = 0;
  virtual int read_file(const std::string& path, std::string& text) = 0;
  // Writes to an existing file, in place.
  virtual int write_file(const std::string& path, std::string_view text) = 0;
  // Makes a new file of mode 0600.
  virtual int create_file(const std::string& path, std::string_view text) = 0;
  // Makes a directory of mode 0700. Returns 0 if it is there already.
  virtual int make_directory(const std::string& path) = 0;
  virtual int remove_file(const std::string& path) = 0;
};

// Returns the only object of its kind. It lives until the process has ended.
System& real_system();

inline constexpr const char* MOUNTINFO = "/proc/self/mountinfo";
// Reads mountinfo until two readings are equal. The kernel hands it out a page at a time, and
// mounts may come and go in between. After several unequal readings the last one counts. Returns 0
// or -errno.
int read_mountinfo(System& system, std::string& text, const std::string& path = MOUNTINFO);

}  // namespace vmtpy::linux
