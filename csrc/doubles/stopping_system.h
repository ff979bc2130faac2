// A System whose calls stop at a chosen place until a test lets them go on: before or after the
// real call, in the session's process or in its guardian. It serves tests of deaths between two
// steps. The places are in a file that every process maps, so a test can drive a guardian whose
// agent it has killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "doubles/intercepting_system.h"

namespace vmtpy::doubles {

// Owned by the test, and longer-lived than the sessions that use it. Any thread and the guardian
// may call it: once it is made, nothing in it allocates or takes a lock, since the guardian is a
// bare clone.
class StoppingSystem final : public InterceptingSystem {
 public:
  // Makes the file `path`, or joins the processes that use it. Throws SystemError.
  StoppingSystem(linux::System& real, const std::string& path);
  ~StoppingSystem() override;
  StoppingSystem(const StoppingSystem&) = delete;
  StoppingSystem& operator=(const StoppingSystem&) = delete;

  // Stops the next call that comes to `place`, for 30 s at most. `place` is "before" or "after" and
  // the name of a call: "open_directory", "fork" (in the parent), … or "guardian's thaw". Throws
  // Error for another place.
  void stop(const std::string& place);
  // Says whether a call has come there and waits.
  bool stopped(const std::string& place) const;
  void let_go(const std::string& place);

 private:
  struct Places;
  struct Page;
  static constexpr int GUARDIANS_THAW = CALLS;
  int before(Call call) override;
  void after(Call call, int result) override;
  std::atomic<std::uint32_t>& at(const std::string& place) const;
  Places& places_of(Call call) const;
  static void wait_at(std::atomic<std::uint32_t>& state);

  const pid_t process_;  // the guardian's process is another one
  Page* page_ = nullptr;
};

}  // namespace vmtpy::doubles
