// Messages to the service manager by sd_notify(3), which are datagrams to $NOTIFY_SOCKET. They
// serve the loop, and only its turns send them: a watchdog that is fed elsewhere would say nothing
// about the loop. PID 1 reads them also while / is frozen. A message that would have to wait is not
// sent.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace vmtpy::linux {

struct SdNotifyOptions {
  // $NOTIFY_SOCKET: a path, or "@name" in the abstract namespace. With "" nothing is sent.
  std::string socket;
  // $WATCHDOG_USEC: after this time without a message the service manager kills. Zero means never.
  Duration watchdog{};
};

// Owned by the agent, used from the loop's thread only, and as long-lived as the agent.
class SdNotify {
 public:
  explicit SdNotify(SdNotifyOptions options);

  // Says that the service is up, once.
  void ready();
  // Says that the service stops, once.
  void stopping();
  // Sets the line that `systemctl status` shows. An unchanged line is not sent again.
  void status(std::string_view text);
  // Feeds the watchdog when it is time. Returns when the next call is due.
  Time feed(Time now);

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
