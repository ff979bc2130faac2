// A dialer for tests, with an AF_UNIX socket in place of AF_VSOCK. The host listens at BASE.976
// (RPCI) and BASE.975 (TCLO), where BASE is a path, or a name in the abstract namespace if it
// begins with "@". The client's own address tells the local port: "\0vmtpy-vsock-<local
// port>-<anything unique>". Local ports go down from 1023 (privileged) or up from 1024 with each
// attempt, as VsockDialer's do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/thread_safety.h"
#include "emulator/device.h"
#include "wire/dialer.h"

namespace vmtpy::doubles {

// Owned by the test, and longer-lived than the channels that use it. Any thread may call it.
class UnixDialer final : public wire::Dialer {
 public:
  // With a `device`, an attempt from a port whose pair the host still holds is reset.
  explicit UnixDialer(std::string base, std::shared_ptr<emulator::Device> device = nullptr)
      : base_(std::move(base)), device_(std::move(device)) {}
  int dial(std::uint32_t port, bool privileged) override;
  int progress(int descriptor) override;

  // Makes `times` attempts (0 for all from now on) end with -error: in progress() if `later`, else
  // in dial(). fail(0, 0, …) ends that.
  void fail(int error, int times, bool later);
  // While held, connections do not come through.
  void hold(bool held);
  void forbid_privilege();  // makes a privileged dial() return -EACCES
  int dials() const { return dials_; }
  int privileged_dials() const { return privileged_dials_; }

 private:
  struct Failure {
    int error = 0;
    int left = 0;  // how many times more; 0 for always
  };
  int due(bool later);

  const std::string base_;
  const std::shared_ptr<emulator::Device> device_;
  Mutex mutex_;  // guards the failures
  Failure dialing_ GUARDED_BY(mutex_);
  Failure connecting_ GUARDED_BY(mutex_);
  std::atomic<bool> held_ = false;
  std::atomic<bool> forbidden_ = false;
  std::atomic<int> dials_ = 0;
  std::atomic<int> privileged_dials_ = 0;
};

}  // namespace vmtpy::doubles
