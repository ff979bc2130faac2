// A quiesced snapshot as a state machine: the host's commands, the freeze session's phases and
// Python's answers come in as events; what to tell whom is the edge's action. The table below is
// the whole of it. The agent owns it, and it lives as long as the agent; only the loop's thread
// uses it, but for what says otherwise, and it never waits. A Python that never answers a start is
// given up, too: the host hears the end, and no other backup begins before that answer.
//
//   IDLE → PREPARING → FREEZING → FROZEN → THAWING → FINISHING → IDLE
//          │  └→ CANCELLED   └──────┴→ ABORTING ──────┘
//          └→ UNFROZEN → FINISHING, when the host wants nothing frozen
//
// Wire texts and codes: open-vm-tools' services/plugins/vmbackup, OpenBSD's vmt(4).
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/event_queue.h"
#include "agent/host_conversation.h"
#include "base/clock.h"
#include "freeze/session.h"

namespace vmtpy::agent {

enum class BackupState {
  IDLE,
  PREPARING,  // Python plans and runs its hooks
  CANCELLED,  // as PREPARING, but it will not be frozen any more
  FREEZING,   // the session is at work
  FROZEN,     // the host has been told to take its snapshot
  UNFROZEN,   // the same, but it had asked to freeze nothing
  THAWING,    // the host has its snapshot; its answer waits for the last thaw
  ABORTING,   // the session thaws what it has frozen
  FINISHING,  // all is thawed, the host knows the outcome; Python runs its hooks
};

enum class BackupEvent {
  START,          // host: vmbackup.start, vmbackup.startWithOpts
  SNAPSHOT_DONE,  // host: vmbackup.snapshotDone
  ABORT,          // host: vmbackup.abort
  ARMED,          // Python: here is the session
  SKIPPED,        // Python: it is prepared, and nothing is to be frozen
  REFUSED,        // Python: it cannot be done
  FINISHED,       // Python: hooks are through
  FROZE,          // session: everything is frozen
  ENDED,          // session: everything is thawed
  STOP,           // the agent is told to end
  HOST_GONE,      // the host refused an event or does not answer
  LATE,           // the host's limit is over, or a thaw or Python has taken longer than it may
};

// Codes of vmbackup.eventSet
enum class BackupCode {
  SUCCESS = 0,
  INVALID_STATE = 1,
  SCRIPT = 2,
  SYNC = 3,
  ABORT = 4,
  UNEXPECTED = 5
};

struct BackupOptions {
  Duration keep_alive = std::chrono::seconds(1);
  Duration thaw_patience = std::chrono::seconds(5);  // before snapshotDone is answered regardless
  Duration finish_patience = std::chrono::minutes(10);  // for Python's hooks after the thaw
  Duration prepare_patience = std::chrono::minutes(3);  // for a silent Python before the freeze
};

class Backup {
 public:
  Backup(HostConversation& host, EventQueue& queue, Clock& clock, BackupOptions options = {});

  // A TCLO command "vmbackup.…". The answer for the host, or nothing when it comes later, by
  // HostConversation::reply().
  std::optional<std::string> command(std::string_view name, std::string_view arguments);

  // From Python, by way of the loop's mailbox.
  void arm(std::shared_ptr<freeze::FreezeSession> session);
  void skip(Duration limit);  // instead of a session, when the host wants nothing frozen
  void refuse(BackupCode code, std::string text);
  void finish(std::string manifest = "");  // path of the manifest that the host may fetch, "": none
  void stop();
  void set_prepare_patience(Duration patience) { options_.prepare_patience = patience; }

  // Python asks whether it is to go on preparing, and shows thereby that it is alive. From any
  // thread.
  bool preparing();
  // Since when Python has been silent that owes an answer; zero: it is not stuck.
  Time stuck_since() const;
  // The loop has failed somewhere: nothing of a backup may stay frozen for it.
  void recover(const std::string& reason);
  // The end of the agent: the host hears the end of the backup, whatever Python is still busy with.
  // Only without a session.
  void leave();

  // Looks at the session and the clock. Returns when to be called again at the latest.
  Time step();
  BackupState state() const { return state_; }  // from any thread
  int session_fd() const;                       // its eventfd, -1 without a session

  struct Edge {
    BackupState from;
    BackupEvent event;
    BackupState to;
    void (Backup::*action)();
  };
  static const Edge* edge(BackupState from, BackupEvent event);  // nullptr: the event has no place

 private:
  bool take(BackupEvent event);
  bool take(BackupEvent event, std::string reason);
  void enter(BackupState state);
  bool tell(std::string_view event, BackupCode code, std::string_view text);
  void answer(std::string reply);
  void keep_alive(Time now);
  void watch_session();
  void pass_limit();
  Time silent_since() const;
  void give_up_on_python();
  std::string stuck() const;
  void push_end(freeze::RunRecord record);

  // Actions, in the order of the table
  void nothing() {}
  void begin();
  void cancel();
  void freeze();
  void report_refusal();
  void give_up();
  void commit();
  void abort_session();
  void release();
  void report();
  void confirm();
  void confirm_unfrozen();
  void give_up_waiting();
  void report_done();

  HostConversation& host_;
  EventQueue& queue_;
  Clock& clock_;
  BackupOptions options_;
  std::atomic<BackupState> state_ = BackupState::IDLE;
  Time entered_{};                    // this state
  Time begun_{};                      // START was queued for Python
  std::atomic<Time> heard_ = Time{};  // of Python, while it prepares
  Time limit_ = Time::max();          // of the host, for all that comes before a thaw
  Time last_event_{};                 // told to the host
  std::shared_ptr<freeze::FreezeSession> session_;
  freeze::Phase seen_ = freeze::Phase::NEW;
  QuiesceRequest request_;
  std::string reason_;    // why it was given up
  std::string manifest_;  // to be announced with the end
  BackupCode refusal_ = BackupCode::UNEXPECTED;
  bool host_gone_ = false;   // it has been logged
  bool owes_end_ = false;    // Python knows of this backup, but not of its end
  bool unanswered_ = false;  // a backup has ended without Python's answer to its START
};

}  // namespace vmtpy::agent
