// By which way a message came to the host.
#pragma once

namespace vmtpy::emulator {

enum class Transport {
  BACKDOOR,
  VSOCK,
  PRIVILEGED_VSOCK,  // from a local port below 1024, which only root may use
};

}  // namespace vmtpy::emulator
