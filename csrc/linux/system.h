// The operating system as the freeze path sees it, behind a seam: every call can be made to fail
// (doubles/faulty_system.h) or be played by a simulated disk (doubles/simulated_disk.h). Calls
// return -errno.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "linux/mount_id.h"

namespace vmtpy::linux {

class System {
 public:
  virtual ~System() = default;
  virtual int open_directory(const std::string& path) = 0;  // a descriptor, O_CLOEXEC
  virtual int close(int descriptor) = 0;
  virtual int mount_id(int descriptor, MountId& id) = 0;
  virtual int sync(int descriptor) = 0;    // syncfs(2)
  virtual int freeze(int descriptor) = 0;  // FIFREEZE; waits, uninterruptibly, for writers inside
  // FITHAW. Also called by the guardian's threads: it uses neither errno nor locks nor the heap.
  virtual int thaw(int descriptor) = 0;
  // For the guardian only. The child may use nothing that takes a lock or remembers a thread id (no
  // malloc, no pthread_*); it sends no SIGCHLD and is waited for with __WALL.
  virtual pid_t fork() = 0;
  virtual int read_file(const std::string& path, std::string& text) = 0;
  virtual int write_file(const std::string& path,
                         std::string_view text) = 0;  // existing file, in place
  virtual int create_file(const std::string& path,
                          std::string_view text) = 0;       // new file, mode 0600
  virtual int make_directory(const std::string& path) = 0;  // mode 0700; 0 if it is there already
  virtual int remove_file(const std::string& path) = 0;
};

System& real_system();

inline constexpr const char* MOUNTINFO = "/proc/self/mountinfo";
// The kernel hands mountinfo out a page at a time, and mounts may come and go in between: two equal
// readings are taken for the truth, the last of several if there are none. 0 or -errno.
int read_mountinfo(System& system, std::string& text);

}  // namespace vmtpy::linux
