// The conversation with the host: both channels, what the host has been told of this guest, how it
// is reached again after it was lost, and the reply that it still waits for. The agent owns it and
// it lives as long as the agent; only the loop's thread uses it. The table below decides what
// follows what. Which reply is owed stands beside it, as that is independent of all the rest.
//
//   NEW → UNANNOUNCED → ANNOUNCED → KNOWN
//          └──────── LOST ←───┴───────┘
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/event_queue.h"
#include "agent/host_commands.h"
#include "base/clock.h"
#include "wire/rpci.h"
#include "wire/tclo.h"

namespace vmtpy::agent {

enum class ConversationState {
  NEW,          // the host has not answered yet
  LOST,         // it does not answer; it is polled after delays that grow
  UNANNOUNCED,  // it answers, and knows nothing of this guest, or nothing any more
  ANNOUNCED,    // it has been told; Python hears of that after the next poll
  KNOWN,        // Python has heard of it
  CLOSED,       // the guest has signed off
};

enum class ConversationEvent {
  HEARD,      // a poll has reached the host
  FAILED,     // a poll or an announcement has not
  FORGOTTEN,  // a reset, another way to the host, or other announcements from now on
  TOLD,       // every announcement was sent
  CLOSE,      // the agent ends
};

struct HostConversationOptions {
  Duration poll_min = std::chrono::milliseconds(10);  // after a command; doubles while idle
  Duration poll_max = std::chrono::milliseconds(500);
  Duration poll_busy = std::chrono::milliseconds(2);  // during a backup
  Duration retry_min = std::chrono::seconds(1);       // when the host does not answer; doubles
  Duration retry_max = std::chrono::seconds(60);
  // How long the host may take with its reply to a request over vsock: the loop waits for it. (By
  // the backdoor it is there at once.)
  Duration patience = std::chrono::seconds(5);
  Duration patience_busy = std::chrono::seconds(1);  // during a backup, if the backdoor can help
  std::vector<std::string> announce;                 // RPCI requests sent at every open and reset
  std::vector<std::string> withdraw;  // RPCI requests sent before the channels are closed
};

// How the conversation stands, for whoever asks.
struct HostStatus {
  bool connected = false;        // the host answered the last poll
  bool announced = false;        // it knows what this guest says of itself
  std::string trouble;           // why it did not answer, "" if it did
  std::string transport;         // by which it is reached: "vsock", "port", …; "": none yet
  std::string transport_reason;  // why that one
  Time last_poll{};              // that was answered; zero: none yet
  std::uint64_t polls = 0;       // that were answered
  std::uint64_t commands = 0;    // of the host
  std::uint64_t resets = 0;      // by the host
  std::uint64_t losses = 0;      // of the host: how often it stopped answering
};

class HostConversation {
 public:
  // Answers a command that is not about the conversation; nothing: its reply was deferred.
  using Serve = std::function<std::optional<std::string>(const HostRequest& request)>;

  HostConversation(std::shared_ptr<wire::Transports> transports, EventQueue& queue, Clock& clock,
                   HostConversationOptions options, Serve serve);

  // One turn: begin_turn(), then poll() as long as wants_poll() and more may come. `frozen`: a
  // filesystem is frozen now, or may be. `busy`: a backup is under way.
  void begin_turn(Time now, bool frozen);
  bool wants_poll(Time now) const;
  bool poll(Time now, bool busy);  // true when there may be more
  Time due() const;                // when to poll at the latest
  // To wait on, for reading or for writing; -1: nothing. While a reply is owed the host is not
  // listened to, also if it has gone.
  int descriptor() const { return owes_reply() ? -1 : tclo_.descriptor(); }
  int connecting_descriptor() const { return owes_reply() ? -1 : tclo_.connecting_descriptor(); }

  // The reply to the last command comes later, from this answerer, whose number for it this is.
  // Until then the host is not polled.
  struct Debt {
    HostCommand::Answerer answerer = HostCommand::Answerer::NOBODY;
    std::uint64_t id = 0;  // the ANSWERED event has it; 0: there is none
    bool operator==(const Debt&) const = default;
  };
  void defer(Debt debt) { debt_ = debt; }
  bool owes(Debt debt) const { return debt_ == debt; }
  bool owes_reply() const { return debt_ != Debt(); }
  void reply(Debt debt, std::string text);  // one that is not owed is dropped

  wire::RpciReply call(std::string_view request) { return rpci_.call(request); }
  void set_busy(bool busy);  // how long the host is waited for
  void came_late() { late_ = true; }
  void configure(const HostConversationOptions& options);  // delays of the poll, announcements
  void close() { take(ConversationEvent::CLOSE); }
  Duration poll_busy() const { return options_.poll_busy; }
  HostStatus status() const;

  struct Edge {
    ConversationState from;
    ConversationEvent event;
    ConversationState to;
    void (HostConversation::*action)();
  };
  static const Edge* edge(ConversationState from, ConversationEvent event);  // nullptr: no place

 private:
  void take(ConversationEvent event);
  void take_change();
  void heard(Time now);
  bool quiet(Time now, bool busy);
  bool obey(Time now, const std::string& command);
  std::optional<std::string> answer(const HostRequest& request);
  std::string answer_here(std::string_view name);
  void introduce();
  void say_health();
  void delivered();

  // Actions of the table
  void nothing() {}
  void note_loss();
  void note_return();
  void tell_python();
  void sign_off();

  const std::shared_ptr<wire::Transports> transports_;
  EventQueue& queue_;
  Clock& clock_;
  HostConversationOptions options_;
  const Serve serve_;
  wire::Rpci rpci_;
  wire::Tclo tclo_;
  ConversationState state_ = ConversationState::NEW;
  Debt debt_;
  std::optional<std::string> reply_;  // no longer owed; the next turn hands it on
  std::uint64_t on_its_way_ = 0;      // number of the reply that the next poll carries
  bool frozen_ = false;               // in the last turn
  bool late_ = false;                 // a turn came late: the host is to be told
  Time poll_at_{};
  Duration poll_delay_;
  Duration retry_delay_;
  HostStatus seen_;
};

}  // namespace vmtpy::agent
