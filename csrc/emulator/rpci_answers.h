// What the emulated host answers to RPCI requests: guestinfo, the option about time, and "1 " to
// what a guest announces or reports. Every other request is an unknown command. Tests of bad hosts
// can replace answers. It serves emulator/channels.h and, through the Device,
// emulator/vsock/vsock_conversation.h.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/thread_safety.h"
#include "emulator/transport.h"

namespace vmtpy::emulator {

// Owned by the Device and as long-lived. It has its own lock, so any thread may call it.
class RpciAnswers {
 public:
  // `secure` plays a host with secure GuestRPC, where only a privileged way may set guestinfo.
  explicit RpciAnswers(bool secure) : secure_(secure) {}
  std::string answer(std::string_view request, Transport transport);

  void set_guestinfo(std::string key, std::string value);
  std::optional<std::string> guestinfo(const std::string& key) const;
  // Says whether the option "synchronize guest time with host" is on.
  bool keeps_time() const;
  void answer_with(std::string prefix, std::string reply, int times, bool whole);

 private:
  struct Canned {
    std::string prefix;
    std::string reply;
    int times;   // 0 for always
    bool whole;  // true if only the prefix itself is meant
  };
  std::optional<std::string> canned(std::string_view request) REQUIRES(mutex_);
  std::string info_get(std::string_view key) const REQUIRES(mutex_);
  std::string info_set(std::string_view arguments) REQUIRES(mutex_);
  std::string set_option(std::string_view arguments) REQUIRES(mutex_);

  const bool secure_;
  mutable Mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_ GUARDED_BY(mutex_);
  std::list<Canned> canned_ GUARDED_BY(mutex_);
  bool keeps_time_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmtpy::emulator
