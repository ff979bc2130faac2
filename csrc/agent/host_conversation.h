// The conversation with the host: both channels, what the host has been told of this guest, how it
// is reached again after it was lost, and the reply for which it still waits. It serves the loop
// and relies on Rpci, Tclo and Transports. Which reply is owed stands beside the table, because it
// is independent of the states.
//
//    NEW → UNANNOUNCED → ANNOUNCED → KNOWN
//           └──────── LOST ←───┴───────┘
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
  NEW,   // the host has not answered yet
  LOST,  // the host does not answer; it is polled after delays that grow
  // The host answers and knows nothing of this guest, or has forgotten it.
  UNANNOUNCED,
  ANNOUNCED,  // the host has been told; Python hears of that after the next poll
  KNOWN,      // Python has heard of it
  CLOSED,     // the guest has signed off
};

enum class ConversationEvent {
  HEARD,      // a poll has reached the host
  FAILED,     // a poll or an announcement has failed
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
  // How long the host may take with its reply to a request over vsock. The loop waits for that
  // reply; over the backdoor it is there at once.
  Duration patience = std::chrono::seconds(5);
  // The same during a backup, if the backdoor can help.
  Duration patience_busy = std::chrono::seconds(1);
  std::vector<std::string> announce;  // RPCI requests sent at every open and reset
  std::vector<std::string> withdraw;  // RPCI requests sent before the channels are closed
};

// The state of the conversation, for status and metrics.
struct HostStatus {
  bool connected = false;  // the host answered the last poll
  bool announced = false;  // the host knows what this guest says of itself
  std::string trouble;     // why the host did not answer, "" if it did
  std::string transport;  // the way by which it is reached: "vsock", "port", …; "" before the first
  std::string transport_reason;  // why that way
  Time last_poll{};              // the last poll that was answered; zero before the first
  std::uint64_t polls = 0;       // polls that were answered
  std::uint64_t commands = 0;    // commands of the host
  std::uint64_t resets = 0;      // resets by the host
  std::uint64_t losses = 0;      // how often the host stopped answering
};

// Owned by the agent, used by the loop's thread only, and as long-lived as the agent.
class HostConversation {
 public:
  // Answers a command that is not about the conversation. Returns nothing when its reply was
  // deferred.
  using Serve = std::function<std::optional<std::string>(const HostRequest& request)>;

  HostConversation(std::shared_ptr<wire::Transports> transports, EventQueue& queue, Clock& clock,
                   HostConversationOptions options, Serve serve);

  // A turn is begin_turn(), and then poll() as long as wants_poll() is true and more may come.
  // `frozen` says that a filesystem is frozen now, or may be. `busy` says that a backup is under
  // way.
  void begin_turn(Time now, bool frozen);
  bool wants_poll(Time now) const;
  bool poll(Time now, bool busy);  // returns true when there may be more
  Time due() const;                // when the next poll is due at the latest
  // The descriptors to wait on, the first for reading and the second for writing; -1 means none.
  // While a reply is owed, nothing listens to the host, even if it has gone.
  int descriptor() const { return owes_reply() ? -1 : tclo_.descriptor(); }
  int connecting_descriptor() const { return owes_reply() ? -1 : tclo_.connecting_descriptor(); }

  // A reply to the last command that comes later, from this answerer, under the answerer's own
  // number. Until then the host is not polled.
  struct Debt {
    HostCommand::Answerer answerer = HostCommand::Answerer::NOBODY;
    std::uint64_t id = 0;  // the ANSWERED event carries it; 0 for no event
    bool operator==(const Debt&) const = default;
  };
  void defer(Debt debt);  // none is owed yet
  bool owes(Debt debt) const { return debt_ == debt; }
  bool owes_reply() const { return debt_ != Debt(); }
  // Gives a reply. A reply that is not owed is dropped.
  void reply(Debt debt, std::string text);

  wire::RpciReply call(std::string_view request) { return rpci_.call(request); }
  void set_busy(bool busy);  // sets how long a request waits for the host
  void came_late() { late_ = true; }
  // Changes the delays of the poll and the announcements.
  void configure(const HostConversationOptions& options);
  void close() { take(ConversationEvent::CLOSE); }
  Duration poll_busy() const { return options_.poll_busy; }
  HostStatus status() const;

  struct Edge {
    ConversationState from;
    ConversationEvent event;
    ConversationState to;
    void (HostConversation::*action)();
  };
  // Returns nullptr where the event has no place.
  static const Edge* edge(ConversationState from, ConversationEvent event);

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

  // The actions of the table.
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
  std::optional<std::string> reply_;  // no longer owed; the next turn passes it on
  std::uint64_t on_its_way_ = 0;      // the number of the reply that the next poll carries
  bool frozen_ = false;               // its value in the last turn
  bool late_ = false;                 // a turn came late, and the host will be told
  Time poll_at_{};
  Duration poll_delay_;
  Duration retry_delay_;
  HostStatus seen_;
};

}  // namespace vmtpy::agent
