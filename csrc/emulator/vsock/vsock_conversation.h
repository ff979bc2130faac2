// The host's side of one vsock connection: bytes of the guest go in, bytes for the guest come out.
// It knows nothing of sockets, and trusts no size that a guest claims. The answers are the
// Device's. It serves emulator/vsock/vsock_server.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "emulator/device.h"
#include "emulator/transport.h"
#include "emulator/vsock/vsock_faults.h"
#include "wire/data_map.h"

namespace vmtpy::emulator {

struct VsockCounts {
  std::uint64_t connections = 0;
  std::uint64_t packets = 0;   // data packets, both ways
  std::uint64_t pings = 0;     // pings of guests
  std::uint64_t rejected = 0;  // connections that were closed for what the guest sent
};

// Owned by its connection, used by the thread of VsockServer only, and as long-lived as the
// connection.
class VsockConversation {
 public:
  VsockConversation(Device& device, VsockFaults& faults, VsockCounts& counts, std::uint32_t port,
                    bool privileged)
      : device_(device),
        faults_(faults),
        counts_(counts),
        port_(port),
        transport_(privileged ? Transport::PRIVILEGED_VSOCK : Transport::VSOCK) {}
  ~VsockConversation();
  VsockConversation(const VsockConversation&) = delete;
  VsockConversation& operator=(const VsockConversation&) = delete;

  // Begins with the wake of a TCLO client.
  void begin(TcloQueue::Wake wake);
  void receive(std::string_view bytes);
  // Answers what has arrived and pushes what waits, as far as there is room.
  void proceed();
  void send_raw(std::string_view bytes) { outgoing_ += bytes; }

  std::uint32_t port() const { return port_; }
  std::string_view outgoing() const { return std::string_view(outgoing_).substr(sent_); }
  void sent(std::size_t bytes);
  // True if the guest may send more.
  bool wants_more() const { return outgoing_.size() < ROOM && !over_; }
  // True if the virtual machine is stunned: then nothing is taken, and proceed() has to be called
  // until the stun is over. The server's thread never waits for that, because others wait for it.
  bool held() const { return held_; }
  bool slow() const { return slow_; }  // true if bytes are sent one at a time
  bool over() const { return over_; }  // true if the connection is closed when all has been sent

 private:
  static constexpr std::size_t ROOM = 128UL * 1024;

  void take(wire::Packet packet);
  void push();
  void send(std::string payload);
  void put(VsockFault fault, const std::string& packet);

  Device& device_;
  VsockFaults& faults_;
  VsockCounts& counts_;
  const std::uint32_t port_;
  const Transport transport_;
  wire::PacketDecoder decoder_;
  std::string outgoing_;
  std::size_t sent_ = 0;  // the number of bytes at the front that have been sent
  bool over_ = false;
  bool held_ = false;
  bool silent_ = false;
  bool slow_ = false;
};

}  // namespace vmtpy::emulator
