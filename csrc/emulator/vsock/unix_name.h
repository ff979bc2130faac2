// Names of AF_UNIX sockets that stand in for AF_VSOCK. The host's ports are names made from a base
// ("@…" is in the abstract namespace, otherwise the base is a path), and a guest's local port is in
// the name to which its socket is bound. They serve emulator/vsock/vsock_server.h and
// emulator/ptrace/socket_calls.h.
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
                                  std::uint32_t port);  // nothing if too long
UnixName guest_name(std::uint32_t port, const std::string& unique);
// Returns the local port in the name of a guest's socket, or nothing if it is no such name.
std::optional<std::uint32_t> guest_port(const UnixName& name);

// Returns the host's port in a name.
std::optional<std::uint32_t> host_port(const UnixName& name);

// Returns the name to which a socket (or its peer) is bound, or nothing if it is not AF_UNIX.
std::optional<UnixName> name_of(int socket, bool peer);

// Returns this process's word in a guest's name. A pid alone may belong to several processes, in
// containers that share a network namespace and with it the abstract names.
std::string process_word();

}  // namespace vmtpy::emulator
