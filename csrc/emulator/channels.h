// The host's side of the message channels: the steps of command MESSAGE and of the high-bandwidth
// transfers, at register level. Nothing that a guest says about sizes is trusted. Used by
// emulator/device.h, which holds the lock; answers come from emulator/rpci_answers.h.
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

class Channels {
 public:
  Channels(const DeviceOptions& options, RpciAnswers& answers, TcloQueue& tclo,
           Transcript& transcript)
      : options_(options), answers_(answers), tclo_(tclo), transcript_(transcript) {}

  void message(wire::Registers& registers);  // in eax, dx with command MESSAGE
  void high_out(wire::Registers& registers, GuestMemory& memory);
  void high_in(wire::Registers& registers, GuestMemory& memory);

  void misbehave(const Misbehaviour& how) { misbehaviours_.push_back(how); }
  void lose();
  int open_count() const;
  // Some guest has a message half sent or half received.
  bool in_flight() const;
  // The virtual machine was stunned: what is in flight begins again with CHECKPOINT.
  void checkpoint();

 private:
  struct Conversation {
    bool open = false;
    wire::Protocol protocol{};
    bool cookies = false;
    std::uint32_t cookie_high = 0;
    std::uint32_t cookie_low = 0;
    bool sending = false;      // between SENDSIZE and its last payload
    std::size_t expected = 0;  // bytes of the message that the guest sends
    std::string incoming;
    std::optional<std::string> outgoing;  // what waits for the guest
    bool receiving = false;               // between RECVSIZE and RECVSTATUS
    std::size_t taken = 0;                // bytes of it that the guest has
    bool checkpointed = false;            // the next step answers CHECKPOINT
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

  void arrived(Conversation& channel);    // a whole message of the guest
  void delivered(Conversation& channel);  // the guest has the message, or refuses it
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
