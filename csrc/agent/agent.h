// The loop of the agent: one native thread that polls the host, answers what it can, and runs the
// backup machine and its timers. Everything with a clock on it happens here. Python hears of it
// through the event queue and answers through the mailbox. The loop relies on HostConversation,
// Backup and ServiceCommands.
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
  Duration stop_patience = std::chrono::seconds(10);  // how long a stop waits for Python
  // When a turn comes so much too late, the host is told.
  Duration starved = std::chrono::seconds(5);
  wire::ToolsState tools;  // what a host hears that asks for the state of the tools
  BackupOptions backup;
  ServiceCommandOptions commands;
  linux::SdNotifyOptions service_manager;  // how the service manager is told
};

// Owned by Python, with a thread of its own from start() to the end. Python's thread calls each
// function unless its comment names another thread. Members without a lock belong to the thread
// that turns the loop.
class Agent {
 public:
  Agent(wire::Backdoor& backdoor, Clock& clock, AgentOptions options = {});
  Agent(std::shared_ptr<wire::Transports> transports, Clock& clock, AgentOptions options = {});
  // Stops the loop, which thaws first. In a fork of the process that made the agent, the agent is
  // left alone.
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  void start();         // starts the loop's thread
  void request_stop();  // may be called from any thread and from a signal handler
  int stop_fd() const { return stop_.get(); }  // an eventfd: writing to it is request_stop()
  // The same for RELOAD, which waits for the end of a backup.
  int reload_fd() const { return reload_event_.get(); }
  EventQueue& events() { return queue_; }

  // Python's answers. Any thread may call these.
  void arm(std::shared_ptr<freeze::FreezeSession> session);
  // Says that nothing is to be frozen. The backup gives up after `timeout` at the latest.
  void skip(Duration timeout);
  void refuse(BackupCode code, std::string text);
  // Says that the hooks are through. `path` is the manifest that the host is told of and may fetch
  // from now on, "" for none, and `manifest` its content. Throws std::invalid_argument as
  // HgfsServer::serve() does.
  void finish(std::string path = "", std::string manifest = "");
  // Answers a COMMAND with "OK …" or "ERROR …".
  void answer(std::uint64_t id, std::string text);
  // Says that a power command's state change is over.
  void settle(std::uint64_t id);
  // Changes the poll's delays, the announcements and the patience with Python.
  void configure(AgentOptions options);

  // Makes one turn without any waiting, for tests that turn the clock. Returns when the next turn
  // is due, Time::max() when the agent has ended. Never throws: a failure in it (most likely a lack
  // of memory) gives up the backup, so that nothing stays frozen.
  Time step() noexcept;
  BackupState backup_state() const { return backup_.state(); }
  // Says whether Python goes on preparing. Each call shows that Python is not stuck. Any thread may
  // call it.
  bool preparing() { return backup_.preparing(); }
  LoopStatus status() const;  // any thread may call it

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
  pid_t process_;  // the process that has the loop's thread
  Mutex mutex_;
  std::deque<std::function<void()>> mailbox_ GUARDED_BY(mutex_);
  linux::SdNotify service_manager_;
  // When something was frozen, or may have been. Zero while nothing is.
  Time busy_since_{};
  mutable Mutex status_mutex_;
  LoopStatus status_ GUARDED_BY(status_mutex_);  // the status after the last turn
  std::thread thread_;
  enum class Life { RUNNING, STOPPING, ENDED };
  Life life_ = Life::RUNNING;
  Time due_ = Time::max();  // when the next turn is due
  bool reload_ = false;     // RELOAD waits for the end of a backup
  Time stop_by_{};          // when a stop no longer waits for Python
};

}  // namespace vmtpy::agent
