// Tells a process that records a conversation (`vmtpy record`) of each message, by a packet on a
// Unix socket. A reader that is busy is waited for once, for a moment. A message that then does not
// fit into the socket is counted as lost, so that a reader that stands still does not stop the
// loop.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace vmtpy::wire {

// The environment variable that names the recorder's socket.
inline constexpr const char* RECORDER_VARIABLE = "VMTPY_RECORDER";

enum class RecordedKind : std::uint32_t {
  RPCI,     // a request and the reply to it
  COMMAND,  // a command of the host
  REPLY,    // the guest's reply to a command
};

enum class RecordedTransport : std::uint32_t { BACKDOOR, VSOCK, PRIVILEGED_VSOCK };

// The head of a packet, which request and reply follow. Numbers are in this machine's byte order.
struct RecordedHead {
  RecordedKind kind;
  RecordedTransport transport;
  std::int64_t time;  // nanoseconds of CLOCK_MONOTONIC
  std::uint32_t request_size;
  std::uint32_t lost;  // the number of messages of this process that did not fit so far
};

// Owned by the MeteredBackdoor of the program that is recorded, and used by its channels from any
// thread.
class Recorder {
 public:
  // Connects to an abstract Unix socket. Throws SystemError.
  explicit Recorder(const std::string& name);
  void add(RecordedKind kind, RecordedTransport transport, std::string_view request,
           std::string_view reply = {});

 private:
  bool send(const msghdr& message);

  UniqueFd socket_;
  // True when the reader stands still and is no longer waited for.
  std::atomic<bool> stands_still_ = false;
  std::atomic<std::uint32_t> lost_ = 0;
};

}  // namespace vmtpy::wire
