// The host's side of one vsock connection: bytes of the guest in, bytes for the guest out. Knows
// nothing of sockets; nothing that a guest says about sizes is trusted. Owned by
// emulator/vsock/vsock_service.h and used by its thread alone; the answers are the Device's.
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
  std::uint64_t packets = 0;   // data, both ways
  std::uint64_t pings = 0;     // of guests
  std::uint64_t rejected = 0;  // connections that were closed for what the guest sent
};

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

  void begin(TcloQueue::Wake wake);  // the wake of a TCLO client
  void receive(std::string_view bytes);
  void proceed();  // answers what has arrived, pushes what waits, as far as there is room
  void send_raw(std::string_view bytes) { outgoing_ += bytes; }

  std::uint32_t port() const { return port_; }
  std::string_view outgoing() const { return std::string_view(outgoing_).substr(sent_); }
  void sent(std::size_t bytes);
  bool wants_more() const { return outgoing_.size() < ROOM && !over_; }  // from the guest
  bool slow() const { return slow_; }                                    // send one byte at a time
  bool over() const { return over_; }  // close it when all has been sent

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
  std::size_t sent_ = 0;  // of its front
  bool over_ = false;
  bool silent_ = false;
  bool slow_ = false;
};

}  // namespace vmtpy::emulator
