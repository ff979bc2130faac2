// Where AF_UNIX sockets stand in for AF_VSOCK: the host's ports as names made from a base ("@…": in
// the abstract space, otherwise a path), and a guest's local port in the name that its socket is
// bound to. Used by emulator/vsock/vsock_service.h and emulator/ptrace/socket_calls.h.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string>

namespace vmtpy::emulator {

struct UnixName {
  sockaddr_un address{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

std::optional<UnixName> host_name(const std::string& base,
                                  std::uint32_t port);  // nothing: too long
UnixName guest_name(std::uint32_t port, const std::string& unique);
// The local port in the name of a guest's socket, or nothing if it is not such a name.
std::optional<std::uint32_t> guest_port(const UnixName& name);

// The host's port in such a name.
std::optional<std::uint32_t> host_port(const UnixName& name);

// The name that a socket is bound to (of its peer, if so wanted); nothing if it is not AF_UNIX.
std::optional<UnixName> name_of(int socket, bool peer);

// This process in a guest's name. A pid alone may belong to several, in containers that share a
// network namespace and with it the abstract names.
std::string process_word();

}  // namespace vmtpy::emulator
