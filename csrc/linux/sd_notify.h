// What the service manager hears: sd_notify(3), which is a datagram to $NOTIFY_SOCKET. Serves the
// loop, and only from its turns: a watchdog that is fed elsewhere says nothing about the loop. The
// reader is PID 1, which also reads while / is frozen; a send that would wait is given up.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace vmtpy::linux {

struct SdNotifyOptions {
  std::string socket;  // $NOTIFY_SOCKET: a path, or "@name" in the abstract space; "": nobody hears
  Duration watchdog{};  // $WATCHDOG_USEC, after which the service manager kills; zero: never
};

class SdNotify {
 public:
  explicit SdNotify(SdNotifyOptions options);

  void ready();                        // once: the service is up
  void stopping();                     // once
  void status(std::string_view text);  // a line for `systemctl status`, when it is a new one
  Time feed(Time now);                 // the watchdog, when it is time. When to be called again.

 private:
  bool send(std::string_view state);
  SdNotifyOptions options_;
  UniqueFd socket_;
  Time fed_{};
  bool ready_ = false;
  bool stopping_ = false;
  std::string status_;
};

}  // namespace vmtpy::linux
