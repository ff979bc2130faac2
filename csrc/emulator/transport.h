// The way by which a message came to the host. It serves answers and transcript, because a host
// grants some requests by one way only.
#pragma once

namespace vmtpy::emulator {

enum class Transport {
  BACKDOOR,
  VSOCK,
  PRIVILEGED_VSOCK,  // from a local port below 1024, which only root may use
};

}  // namespace vmtpy::emulator
