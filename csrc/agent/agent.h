// The loop: one native thread that polls the host, answers what it can, runs the backup machine and
// its timers. Everything with a clock on it happens here; Python hears of it by the event queue and
// answers by the mailbox. step() is one turn without any waiting, for tests that turn the clock.
// Python owns the agent; each function says from which thread it may be called, and without a word
// it is Python's. What has no lock belongs to the thread that turns the loop.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/backup.h"
#include "agent/event_queue.h"
#include "agent/host_conversation.h"
#include "agent/loop_status.h"
#include "agent/service_commands.h"
#include "base/clock.h"
#include "base/thread_safety.h"
#include "base/unique_fd.h"
#include "linux/sd_notify.h"
#include "wire/hgfs.h"
#include "wire/transports.h"
#include "wire/vix.h"

namespace vmtpy::agent {

struct AgentOptions {
  HostConversationOptions host;
  Duration stop_patience = std::chrono::seconds(10);  // for Python, once told to stop
  Duration starved = std::chrono::seconds(5);         // a turn so much too late: the host is told
  wire::ToolsState tools;                             // what a host hears that asks for it
  BackupOptions backup;
  ServiceCommandOptions commands;
  linux::SdNotifyOptions service_manager;  // the service manager
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
  LoopStatus status() const;  // from any thread

 private:
  void run();
  Time turn();
  void recover(const char* what);
  void wait(Time until);
  void post(std::function<void()> message);
  void read_mailbox();
  void look_for_reload();
  Time publish(Time now);
  void talk_to_host(Time now);
  std::optional<std::string> serve(const HostRequest& request);
  std::optional<std::string> answer_backup(const HostRequest& request);
  bool busy() const { return backup_.state() != BackupState::IDLE; }
  void end();

  Clock& clock_;
  AgentOptions options_;
  EventQueue queue_;
  HostConversation host_;
  Backup backup_;
  ServiceCommands commands_;
  wire::HgfsServer hgfs_;
  EventFd wake_;
  EventFd stop_;
  EventFd reload_event_;
  pid_t process_;  // that has the loop's thread
  Mutex mutex_;
  std::deque<std::function<void()>> mailbox_ GUARDED_BY(mutex_);
  linux::SdNotify service_manager_;
  Time busy_since_{};  // since when something has been frozen, or may be; zero: nothing is
  mutable Mutex status_mutex_;
  LoopStatus status_ GUARDED_BY(status_mutex_);  // as others see it
  std::thread thread_;
  enum class Life { RUNNING, STOPPING, ENDED };
  Life life_ = Life::RUNNING;
  Time due_ = Time::max();  // when this turn was to come
  bool reload_ = false;     // RELOAD waits for the end of a backup
  Time stop_by_{};          // when Python is waited for no longer
};

}  // namespace vmtpy::agent
