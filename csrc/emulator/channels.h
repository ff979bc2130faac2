// The host's side of the message channels, at register level: the steps of command MESSAGE and of
// the high-bandwidth transfers. No size that a guest claims is trusted. It serves
// emulator/device.h; the answers come from emulator/rpci_answers.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/device_options.h"
#include "emulator/guest_memory.h"
#include "emulator/rpci_answers.h"
#include "emulator/tclo_queue.h"
#include "emulator/transcript.h"
#include "wire/backdoor.h"
#include "wire/wire.h"

namespace vmtpy::emulator {

// Owned by the Device and as long-lived. Every call is made under the Device's lock.
class Channels {
 public:
  Channels(const DeviceOptions& options, RpciAnswers& answers, TcloQueue& tclo,
           Transcript& transcript)
      : options_(options), answers_(answers), tclo_(tclo), transcript_(transcript) {}

  // Answers the instruction "in eax, dx" with command MESSAGE.
  void message(wire::Registers& registers);
  void high_out(wire::Registers& registers, GuestMemory& memory);
  void high_in(wire::Registers& registers, GuestMemory& memory);

  void misbehave(const Misbehaviour& how) { misbehaviours_.push_back(how); }
  void lose();
  int open_count() const;
  // Says whether a message is half sent or half received.
  bool in_flight() const;
  // Called after the virtual machine was stunned: each transfer in flight begins again with
  // CHECKPOINT.
  void checkpoint();

 private:
  struct Conversation {
    bool open = false;
    wire::Protocol protocol{};
    bool cookies = false;
    std::uint32_t cookie_high = 0;
    std::uint32_t cookie_low = 0;
    bool sending = false;      // true between SENDSIZE and the last payload
    std::size_t expected = 0;  // the size of the message that the guest sends
    std::string incoming;
    std::optional<std::string> outgoing;  // the message that waits for the guest
    bool receiving = false;               // true between RECVSIZE and RECVSTATUS
    std::size_t taken = 0;                // how many of its bytes the guest has
    bool checkpointed = false;            // true when the next step answers CHECKPOINT
    bool in_flight() const { return open && (sending || receiving); }
  };

  std::uint16_t open(wire::Registers& registers);
  std::uint16_t step(std::uint16_t step, Conversation& channel, wire::Registers& registers);
  std::uint16_t send_size(Conversation& channel, std::uint32_t size);
  std::uint16_t send_payload(Conversation& channel, std::uint32_t word);
  std::uint16_t receive_size(Conversation& channel, wire::Registers& registers);
  std::uint16_t receive_payload(Conversation& channel, wire::Registers& registers);
  std::uint16_t receive_status(Conversation& channel, bool accepted);
  std::uint16_t take_from_guest(Conversation& channel, wire::Registers& registers,
                                GuestMemory& memory);
  std::uint16_t give_to_guest(Conversation& channel, wire::Registers& registers,
                              GuestMemory& memory);

  // Takes a whole message of the guest.
  void arrived(Conversation& channel);
  // Drops the message that the guest has, or has refused.
  void delivered(Conversation& channel);
  static void begin_again(Conversation& channel);
  bool checkpoint_due(Conversation& channel);
  Conversation* find(const wire::Registers& registers, std::uint32_t high, std::uint32_t low);
  Misbehaviour* due(std::uint16_t step);
  std::uint16_t high_status(std::uint16_t step, Conversation* channel);
  std::uint16_t high_flag() const { return options_.high_bandwidth ? wire::HB : 0; }
  std::uint64_t next_cookie();

  const DeviceOptions& options_;
  RpciAnswers& answers_;
  TcloQueue& tclo_;
  Transcript& transcript_;
  std::array<Conversation, wire::MAX_CHANNELS> channels_;
  std::vector<Misbehaviour> misbehaviours_;
  std::uint64_t cookies_ = 0;
  int steps_ = 0;
};

}  // namespace vmtpy::emulator
