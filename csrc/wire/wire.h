// Constants of VMware's backdoor, message channels, RPCI and TCLO, under the protocol's own names.
// No other file of the project writes one of these numbers. Sources: OpenBSD's vmt(4),
// open-vm-tools' backdoor_def.h, guest_msg_def.h, tclodefs.h and dataMap.h, the Linux kernel's
// asm/vmware.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vmtpy::wire {

// eax, on every call
inline constexpr std::uint32_t MAGIC = 0x564D5868;

// edx low half
inline constexpr std::uint16_t PORT_LB = 0x5658;  // in eax, dx
inline constexpr std::uint16_t PORT_HB = 0x5659;  // rep insb, rep outsb

// edx low half, where the call is made by vmcall or vmmcall
inline constexpr std::uint16_t FLAG_HB = 1 << 0;
inline constexpr std::uint16_t FLAG_OUT = 1 << 1;  // towards the host; 0 at low bandwidth

// ecx low half (low bandwidth)
enum Command : std::uint16_t {
  GETMHZ = 1,
  GETVERSION = 10,
  GETGUIOPTIONS = 13,
  GETHWVERSION = 17,
  GETUUID = 19,
  GETMEMSIZE = 20,
  GETTIME = 23,
  STOPCATCHUP = 24,
  MESSAGE = 30,
  GETHZ = 45,
  GETTIMEFULL = 46,
  GETTIMEFULL_WITH_LAG = 55,
  GET_VCPU_INFO = 68,
};
inline constexpr std::uint32_t GUI_SYNC_TIME = 1 << 10;  // in eax of the answer to GETGUIOPTIONS
inline constexpr std::uint32_t UNKNOWN_COMMAND = 0xFFFFFFFF;  // in eax of the answer

// ebx low half (high bandwidth)
inline constexpr std::uint16_t HB_MESSAGE = 0;

// ecx of GETVERSION's answer
enum Product : std::uint32_t { EXPRESS = 1, ESX = 2, GSX = 3, WORKSTATION = 4 };

// ecx high half of a MESSAGE
enum MessageStep : std::uint16_t {
  OPEN = 0,
  SENDSIZE = 1,
  SENDPAYLOAD = 2,
  RECVSIZE = 3,
  RECVPAYLOAD = 4,
  RECVSTATUS = 5,
  CLOSE = 6,
};

// Status of a MESSAGE: ecx high half after LB, ebx high half after HB
enum MessageStatus : std::uint16_t {
  SUCCESS = 0x01,
  DORECV = 0x02,
  CLOSED = 0x04,
  UNSENT = 0x08,
  CHECKPOINT = 0x10,
  POWEROFF = 0x20,
  TIMEOUT = 0x40,
  HB = 0x80,
};

// edx high half of an answer to RECVSIZE and RECVPAYLOAD: what the host is doing
inline constexpr std::uint16_t HOST_SENDSIZE = 1;
inline constexpr std::uint16_t HOST_SENDPAYLOAD = 2;

// ebx of OPEN
enum class Protocol : std::uint32_t { RPCI = 0x49435052, TCLO = 0x4F4C4354 };
inline constexpr std::uint32_t COOKIES = 0x80000000;

// vsock: the ports at which a host listens, and the local ports from which a guest counts as
// privileged
inline constexpr std::uint32_t VSOCK_HOST = 0;  // context id of the hypervisor
inline constexpr std::uint32_t VSOCK_RPCI = 976;
inline constexpr std::uint32_t VSOCK_TCLO = 975;
// The highest local port that counts as privileged.
inline constexpr std::uint32_t VSOCK_PRIVILEGED = 1023;

// vsock: type tags, field ids and types of packets
enum FieldType : std::uint32_t { INT64 = 1, STRING = 2, INT64_LIST = 3, STRING_LIST = 4 };
enum PacketField : std::uint32_t { PACKET_TYPE = 1, PAYLOAD = 2, FAST_CLOSE = 3 };
enum class PacketType : std::uint64_t { DATA = 1, PING = 2 };

inline constexpr std::size_t MAX_MESSAGE = 65536;  // towards the host
inline constexpr int MAX_CHANNELS = 128;           // per virtual machine

}  // namespace vmtpy::wire
