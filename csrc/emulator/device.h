// VMware, played at register level: a frame of registers goes in, a frame comes out. It does not
// know how a trap reached it (emulator/emulated_backdoor.h: from this process;
// emulator/ptrace/trap.h: from a traced program), and knows nothing of sockets:
// emulator/vsock/vsock_service.h brings it what comes over vsock. It serves `vmtpy emulate` and the
// tests.
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

// What made the trap: an instruction of the ports, or a hypercall, whose edx says for which
// instruction it stands.
enum class Carrier { PORT, VMCALL, VMMCALL };

// Shared by Python, the backdoors and the services that use it, and gone with the last of them. Any
// thread may call it. It keeps a transcript of every RPCI and TCLO message, and counts the traps.
class Device {
 public:
  Device(Clock& clock, DeviceOptions options = {});
  ~Device();

  void trap(Instruction instruction, wire::Registers& registers, GuestMemory& memory);
  void hypercall(Carrier carrier, wire::Registers& registers, GuestMemory& memory);

  // Messages of a guest that do not come by traps. None of these functions waits for the end of a
  // stun; their callers do. Commands are pushed to this TCLO client: `wake` is called, by any
  // thread and under locks, when a command can be taken or the client was replaced.
  std::string answer(std::string request, Transport transport);  // answers an RPCI request
  void open_tclo(TcloQueue::Client client, TcloQueue::Wake wake);
  void close_tclo(TcloQueue::Client client);
  bool has_tclo(TcloQueue::Client client) const;  // false when it was replaced
  std::optional<std::string> take_command(TcloQueue::Client client, Transport transport);
  void take_tclo_reply(TcloQueue::Client client, std::string reply, Transport transport);
  VsockPairs& vsock_pairs() { return vsock_pairs_; }

  // The functions for the script that plays the host.
  // Sends a command over TCLO. Commands are delivered in order.
  void send_command(std::string command);
  void set_guestinfo(std::string key, std::string value);  // the key is without "guestinfo."
  std::optional<std::string> guestinfo(const std::string& key) const;
  // Replaces the answer to the next requests that begin with `prefix`: to `times` of them, or to
  // all if `times` is 0. With `whole` only requests that are exactly `prefix` count. The reply may
  // be anything, to play bad hosts.
  void answer_with(std::string prefix, std::string reply, int times = 1, bool whole = false);
  void misbehave(const Misbehaviour& how);  // several misbehaviours act independently
  // Stuns the virtual machine, as for a snapshot: nothing is answered by any transport until
  // resume(). The stun begins when a message is half sent or half received over the backdoor, at
  // the latest at the deadline. Returns true if a message was. This is for a guest in this process;
  // for a traced guest TrapHost has the same two functions, which stop its threads. `other_threads`
  // says that the calling thread will not trap before the resume(): if it does, it would wait
  // forever, and gets an Error.
  bool stun(Time deadline, bool other_threads = false);
  // Ends the stun, with CHECKPOINT for each message that was in flight.
  void resume();
  bool stunned() const;
  // Says whether a message is half sent or half received over the backdoor.
  bool in_flight() const;
  void checkpoint();  // answers CHECKPOINT for each message in flight
  // Makes the host forget all channels: the next use of a cookie is refused.
  void lose_channels();
  // Says whether there is a TCLO client and, where the client has to poll, it has polled.
  bool tclo_seen() const;

  // Waits until tclo_seen(). Returns false at the deadline.
  bool wait_for_tools(Time deadline);
  int open_channels() const;
  // Returns the entries of the transcript since the last call. Waits until `deadline` for the first
  // entry.
  std::vector<TranscriptEntry> take_transcript(Time deadline);
  // The number of entries that the transcript has had so far, taken or not.
  std::uint64_t messages() const;
  // Called when the script is over: wait_for_tools() and take_transcript() return at once, now and
  // later.
  void end_waits();
  // Returns the number of traps by name: "GETVERSION", "MESSAGE OPEN", "rep outsb", "vmcall MESSAGE
  // OPEN", "vmcall HB out", …
  std::map<std::string, std::uint64_t> traps() const;

 private:
  class State;
  std::unique_ptr<State> state_;
  VsockPairs vsock_pairs_;
};

}  // namespace vmtpy::emulator
