// A System whose calls stop at a chosen place until a test lets them go on: before or after the
// real call, in the session's process or in its guardian. It serves tests of deaths between two
// steps. The places are in a file that every process maps, so a test can drive a guardian whose
// agent it has killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "linux/system.h"

namespace vmtpy::doubles {

// Owned by the test, and longer-lived than the sessions that use it. Any thread and the guardian
// may call it: once it is made, nothing in it allocates or takes a lock, since the guardian is a
// bare clone.
class StoppingSystem final : public linux::System {
 public:
  // Makes the file `path`, or joins the processes that use it. Throws SystemError.
  StoppingSystem(linux::System& real, const std::string& path);
  ~StoppingSystem() override;
  StoppingSystem(const StoppingSystem&) = delete;
  StoppingSystem& operator=(const StoppingSystem&) = delete;

  // Stops the next call that comes to `place`, for 30 s at most. `place` is "before" or "after" and
  // one of "open_directory", "freeze", "thaw", "guardian's thaw", "fork" (in the parent),
  // "write_file", "create_file" and "remove_file". Throws Error for another place.
  void stop(const std::string& place);
  // Says whether a call has come there and waits.
  bool stopped(const std::string& place) const;
  void let_go(const std::string& place);

  int open_directory(const std::string& path) override;
  int close(int descriptor) override;
  int mount_id(int descriptor, linux::MountId& id) override;
  int sync(int descriptor) override;
  int freeze(int descriptor) override;
  int thaw(int descriptor) override;
  pid_t fork() override;
  int read_file(const std::string& path, std::string& text) override;
  int write_file(const std::string& path, std::string_view text) override;
  int create_file(const std::string& path, std::string_view text) override;
  int make_directory(const std::string& path) override;
  int remove_file(const std::string& path) override;

 private:
  struct Page;
  std::atomic<std::uint32_t>& at(const std::string& place) const;
  void pass(int place);

  linux::System& real_;
  const pid_t process_;  // the guardian's process is another one
  Page* page_ = nullptr;
};

}  // namespace vmtpy::doubles
