// A dialer for tests: an AF_UNIX socket in place of AF_VSOCK. The host listens at BASE.976 (RPCI)
// and BASE.975 (TCLO), where BASE is a path, or a name in the abstract space if it begins with "@".
// Local ports are told by the client's own address: "\0vmtpy-vsock-<local port>-<anything unique>".
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "core/dialer.h"

namespace vmtpy::host {

class UnixDialer final : public Dialer {
 public:
  explicit UnixDialer(std::string base) : base_(std::move(base)) {}
  int dial(std::uint32_t port, bool privileged) override;
  int progress(int descriptor) override;

  void fail(int error);     // dial() answers -error; 0: no longer
  void hold(bool held);     // connections do not come through
  void forbid_privilege();  // a privileged dial() answers -EACCES
  int dials() const { return dials_; }
  int privileged_dials() const { return privileged_dials_; }

 private:
  std::string base_;
  std::atomic<int> error_ = 0;
  std::atomic<bool> held_ = false;
  std::atomic<bool> forbidden_ = false;
  std::atomic<int> dials_ = 0;
  std::atomic<int> privileged_dials_ = 0;
};

}  // namespace vmtpy::host
