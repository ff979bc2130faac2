// A quiesced snapshot as a state machine. The host's commands, the phases of the freeze session and
// Python's answers come in as events, and the action of an edge tells whom what. It serves the
// agent's loop and relies on HostConversation and FreezeSession.
//
//    IDLE → PREPARING → FREEZING → FROZEN → THAWING → FINISHING → IDLE
//           │  └→ CANCELLED   └──────┴→ ABORTING ──────┘
//           └→ UNFROZEN → FINISHING, when the host wants nothing frozen
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
  CANCELLED,  // as PREPARING, but nothing will be frozen any more
  FREEZING,   // the session is at work
  FROZEN,     // the host has been told to take its snapshot
  UNFROZEN,   // the same, but the host had asked to freeze nothing
  THAWING,    // the host has its snapshot; its answer waits for the last thaw
  ABORTING,   // the session thaws what it has frozen
  // Everything is thawed and the host knows the outcome. Python runs its hooks.
  FINISHING,
};

enum class BackupEvent {
  START,          // host: vmbackup.start, vmbackup.startWithOpts
  SNAPSHOT_DONE,  // host: vmbackup.snapshotDone
  ABORT,          // host: vmbackup.abort
  ARMED,          // Python: here is the session
  SKIPPED,        // Python: everything is prepared, and nothing is to be frozen
  REFUSED,        // Python: the backup cannot be done
  FINISHED,       // Python: the hooks are through
  FROZE,          // session: everything is frozen
  ENDED,          // session: everything is thawed
  STOP,           // the agent is told to end
  HOST_GONE,      // the host refused an event or does not answer
  LATE,           // the host's limit has passed, or a thaw or Python takes too long
};

// The codes of vmbackup.eventSet.
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
  // After this time snapshotDone is answered although the thaw has not ended.
  Duration thaw_patience = std::chrono::seconds(5);
  Duration finish_patience = std::chrono::minutes(10);  // for Python's hooks after the thaw
  Duration prepare_patience = std::chrono::minutes(3);  // for a silent Python before the freeze
};

// Owned by the agent, used by the loop's thread unless a comment names another one, and as
// long-lived as the agent. It never waits. It also gives up a Python that never answers a start:
// the host hears the end, and no other backup begins before that answer.
class Backup {
 public:
  Backup(HostConversation& host, EventQueue& queue, Clock& clock, BackupOptions options = {});

  // Takes a TCLO command "vmbackup.…". Returns the answer for the host, or nothing when
  // HostConversation::reply() brings it later.
  std::optional<std::string> command(std::string_view name, std::string_view arguments);

  // Python's answers, which come through the loop's mailbox.
  void arm(std::shared_ptr<freeze::FreezeSession> session);
  // Stands in place of arm() when the host wants nothing frozen.
  void skip(Duration timeout);
  void refuse(BackupCode code, std::string text);
  // Says that the hooks are through. `manifest` is the path of the manifest that the host may
  // fetch, "" for none.
  void finish(std::string manifest = "");
  void stop();
  void set_prepare_patience(Duration patience) { options_.prepare_patience = patience; }

  // Says whether Python goes on preparing, and notes that Python is alive. Any thread may call it.
  bool preparing();
  // Returns since when Python, which owes an answer, has been silent. Zero while it is not stuck.
  Time stuck_since() const;
  // Called when the loop has failed somewhere: it thaws everything and ends the backup.
  void recover(const std::string& reason);
  // Called at the end of the agent, without a session. The host hears the end of the backup,
  // whatever Python is still busy with.
  void leave();

  // Looks at the session and the clock. Returns when the next call is due at the latest.
  Time step();
  BackupState state() const { return state_; }  // any thread may call it
  int session_fd() const;                       // the session's eventfd, -1 without a session

  struct Edge {
    BackupState from;
    BackupEvent event;
    BackupState to;
    void (Backup::*action)();
  };
  // Returns nullptr where the event has no place.
  static const Edge* edge(BackupState from, BackupEvent event);

 private:
  bool take(BackupEvent event);
  bool take(BackupEvent event, std::string reason);
  void enter(BackupState state);
  bool tell(std::string_view event, BackupCode code, std::string_view text);
  void answer(std::string reply);
  void keep_alive(Time now);
  void watch_session();
  void pass_deadline();
  Time silent_since() const;
  void give_up_on_python();
  std::string stuck() const;
  void push_end(freeze::RunRecord record);

  // The actions, in the order of the table.
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
  Time entered_{};                    // when this state was entered
  Time begun_{};                      // when START was queued for Python
  std::atomic<Time> heard_ = Time{};  // when Python last showed that it prepares
  Time deadline_ = Time::max();       // the host's limit for all that comes before a thaw
  Time last_event_{};                 // when the host was last told something
  std::shared_ptr<freeze::FreezeSession> session_;
  freeze::Phase seen_ = freeze::Phase::NEW;
  QuiesceRequest request_;
  std::string reason_;    // why the backup was given up
  std::string manifest_;  // the manifest that is announced with the end
  BackupCode refusal_ = BackupCode::UNEXPECTED;
  bool host_gone_ = false;   // true when the host's absence has been logged
  bool owes_end_ = false;    // Python knows of this backup but not of its end
  bool unanswered_ = false;  // a backup has ended without Python's answer to its START
};

}  // namespace vmtpy::agent
