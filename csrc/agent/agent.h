// The loop: one native thread that polls the host, answers what it can, runs the backup machine and
// its timers. Everything with a clock on it happens here; Python hears of it by the event queue and
// answers by the mailbox. step() is one turn without any waiting, for tests that turn the clock.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent_status.h"
#include "agent/backup.h"
#include "agent/commands.h"
#include "agent/event_queue.h"
#include "agent/host_commands.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "linux/sd_notify.h"
#include "wire/hgfs.h"
#include "wire/rpci.h"
#include "wire/tclo.h"
#include "wire/vix.h"

namespace vmtpy::agent {

struct AgentOptions {
  Duration poll_min = std::chrono::milliseconds(10);  // after a command; doubles while idle
  Duration poll_max = std::chrono::milliseconds(500);
  Duration poll_busy = std::chrono::milliseconds(2);  // during a backup
  Duration retry_min = std::chrono::seconds(1);       // when the host does not answer; doubles
  Duration retry_max = std::chrono::seconds(60);
  Duration stop_patience = std::chrono::seconds(10);  // for Python, once told to stop
  Duration starved = std::chrono::seconds(5);         // a turn so much too late: the host is told
  // How long the host may take with its reply to a request over vsock: the loop waits for it. (By
  // the backdoor it is there at once.)
  Duration patience = std::chrono::seconds(5);
  Duration patience_busy = std::chrono::seconds(1);  // during a backup, if the backdoor can help
  std::vector<std::string> announce;                 // RPCI requests sent at every open and reset
  std::vector<std::string> withdraw;  // RPCI requests sent before the channels are closed
  wire::ToolsState tools;             // what a host hears that asks for it
  BackupOptions backup;
  CommandOptions commands;
  linux::NotifyOptions notify;  // the service manager
};

class Agent {
 public:
  Agent(wire::Backdoor& backdoor, Clock& clock, AgentOptions options = {});
  Agent(std::shared_ptr<wire::Transports> transports, Clock& clock, AgentOptions options = {});
  ~Agent();  // stops, thawing first; in a fork of the process that made it, it is left alone
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  void start();                                // the loop's thread
  void request_stop();                         // async-signal-safe
  int stop_fd() const { return stop_.get(); }  // an eventfd: writing to it is request_stop()
  int reload_fd() const {
    return reload_event_.get();
  }  // the same for RELOAD, which waits for a backup
  EventQueue& events() { return queue_; }

  // Python's answers, from any thread.
  void arm(std::shared_ptr<freeze::FreezeSession> session);
  void skip(Duration limit);  // nothing is to be frozen: give up after this, at the latest
  void refuse(BackupCode code, std::string text);
  // The manifest that the host is told of and may fetch from now on: its path, "" for none, and
  // what it holds. Throws std::invalid_argument as HgfsServer::serve().
  void finish(std::string path = "", std::string manifest = "");
  void answer(std::uint64_t id, std::string text);  // to a COMMAND: "OK …" or "ERROR …"
  void settle(std::uint64_t id);                    // a power command's state change is over
  void configure(AgentOptions options);  // the poll's delays, what is told, Python's patience

  // One turn. Returns when the next is due, Time::max() when the agent has ended. Never throws:
  // what fails here (memory, most likely) gives up the backup, so that nothing stays frozen.
  Time step() noexcept;
  BackupState backup_state() const { return backup_.state(); }
  // Whether Python is to go on preparing; each call shows that it is not stuck. From any thread.
  bool preparing() { return backup_.preparing(); }
  AgentStatus status() const;  // from any thread

 private:
  void run();
  Time turn();
  void recover(const char* what);
  void wait(Time until);
  void post(std::function<void()> message);
  void read_mailbox();
  void look_for_reload();
  Time publish(Time now);
  void poll_host(Time now);
  bool poll_once(Time now);
  std::string dispatch(const HostRequest& request, bool& deferred);
  std::optional<std::string> answer_backup(const HostRequest& request);
  std::string answer_here(std::string_view name);
  void take_change();
  void introduce();
  void say_health();
  bool answer_pending() const { return backup_.answer_pending() || commands_.pending(); }
  void end();

  Clock& clock_;
  AgentOptions options_;
  EventQueue queue_;
  std::shared_ptr<wire::Transports> transports_;
  wire::Rpci rpci_;
  wire::Tclo tclo_;
  Backup backup_;
  Commands commands_;
  wire::HgfsServer hgfs_;
  EventFd wake_;
  EventFd stop_;
  EventFd reload_event_;
  pid_t process_;     // that has the loop's thread
  std::mutex mutex_;  // of mailbox_
  std::deque<std::function<void()>> mailbox_;
  linux::Notify notify_;
  AgentStatus seen_;  // as the loop sees it
  mutable std::mutex status_mutex_;
  AgentStatus status_;  // as others see it
  std::thread thread_;
  Time poll_at_{};
  Time due_ = Time::max();  // when this turn was to come
  Duration poll_delay_{};
  Duration retry_delay_{};
  bool announced_ = false;
  bool introduced_ = false;  // and Python has not been told yet
  bool frozen_ = false;      // at the last look at the host
  bool connected_ = true;    // for the log: said once
  bool starved_ = false;
  bool reload_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  Time stop_by_{};
};

}  // namespace vmtpy::agent
