// VMware, played at register level: a frame of registers in, a frame out. It knows nothing of how a
// trap reached it (emulator/emulated_backdoor.h: from this process; emulator/ptrace/trap.h: from a
// traced program), nor of sockets: what comes over vsock is brought to it by
// emulator/vsock/vsock_service.h. It keeps a transcript of every RPCI and TCLO message and counts
// the traps. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "emulator/device_options.h"
#include "emulator/guest_memory.h"
#include "emulator/tclo_queue.h"
#include "emulator/transcript.h"
#include "emulator/transport.h"
#include "emulator/vsock/vsock_pairs.h"
#include "wire/backdoor.h"

namespace vmtpy::emulator {

enum class Instruction { LOW, HIGH_OUT, HIGH_IN };

// What made the trap: an instruction of the ports, or a hypercall, whose edx says which it stands
// for.
enum class Carrier { PORT, VMCALL, VMMCALL };

class Device {
 public:
  Device(Clock& clock, DeviceOptions options = {});
  ~Device();

  void trap(Instruction instruction, wire::Registers& registers, GuestMemory& memory);
  void hypercall(Carrier carrier, wire::Registers& registers, GuestMemory& memory);

  // Messages of a guest that come otherwise than by traps. The TCLO client is pushed to: `wake` is
  // called, by any thread and under locks, when there is something to be taken or it was replaced.
  std::string answer(std::string request, Transport transport);  // to an RPCI request
  void open_tclo(TcloQueue::Client client, TcloQueue::Wake wake);
  void close_tclo(TcloQueue::Client client);
  bool has_tclo(TcloQueue::Client client) const;  // false: it was replaced
  std::optional<std::string> take_command(TcloQueue::Client client, Transport transport);
  void take_tclo_reply(TcloQueue::Client client, std::string reply, Transport transport);
  VsockPairs& vsock_pairs() { return vsock_pairs_; }

  // The script's side.
  void send_command(std::string command);                  // TCLO, delivered in order
  void set_guestinfo(std::string key, std::string value);  // key without "guestinfo."
  std::optional<std::string> guestinfo(const std::string& key) const;
  // The answer to the next request that begins with `prefix` (and, if `times` is not 0, to so many
  // of them; 0: to all): sent instead of the usual one. For bad hosts: may be anything. `whole`:
  // to requests that are `prefix`.
  void answer_with(std::string prefix, std::string reply, int times = 1, bool whole = false);
  void misbehave(const Misbehaviour& how);  // may be called again: each acts on its own
  // The virtual machine is stunned, as for a snapshot: nothing is answered, by whichever transport,
  // until resume(). It begins when a message is half sent or half received over the backdoor, at
  // the latest at the deadline; true if one was. For a guest in this process; for one that is
  // traced TrapHost has the same two, which stop its threads.
  bool stun(Time deadline);
  void resume();           // with CHECKPOINT for each message that was in flight
  bool in_flight() const;  // a message is half sent or half received over the backdoor
  void checkpoint();       // for each of these
  void lose_channels();    // the host forgets them all: the next use of a cookie is refused
  bool tclo_seen() const;  // there is a TCLO client, and where it has to poll, it has

  bool wait_for_tools(Time deadline);  // until tclo_seen(); false at the deadline
  int open_channels() const;
  // The transcript, drained: entries since the last call. Waits until `deadline` for the first one.
  std::vector<TranscriptEntry> take_transcript(Time deadline);
  std::uint64_t messages() const;  // how many entries it has had so far, taken or not
  // The script is over: who waits in one of the two above, now or later, returns at once.
  void end_waits();
  // "GETVERSION", "MESSAGE OPEN", "rep outsb", "vmcall MESSAGE OPEN", "vmcall HB out", … → number
  // of traps
  std::map<std::string, std::uint64_t> traps() const;

 private:
  class State;
  std::unique_ptr<State> state_;
  VsockPairs vsock_pairs_;
};

}  // namespace vmtpy::emulator
