// Makes and parses the names. It relies on the abstract namespace for the guest's names, which need
// no file and vanish with the socket.
#include "emulator/vsock/unix_name.h"

#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <random>
#include <string_view>

namespace vmtpy::emulator {

namespace {

constexpr std::size_t PATH = offsetof(sockaddr_un, sun_path);
constexpr std::string_view GUEST{"\0vmtpy-vsock-", 13};

std::optional<UnixName> make_name(std::string_view text) {
  UnixName name;
  name.address.sun_family = AF_UNIX;
  if (text.empty() || text.size() >= sizeof name.address.sun_path) return std::nullopt;
  std::memcpy(name.address.sun_path, text.data(), text.size());
  name.size = static_cast<socklen_t>(PATH + text.size());
  return name;
}

}  // namespace

std::optional<UnixName> host_name(const std::string& base, std::uint32_t port) {
  auto name = make_name(base + "." + std::to_string(port));
  if (name && base[0] == '@') name->address.sun_path[0] = '\0';
  return name;
}

UnixName guest_name(std::uint32_t port, const std::string& unique) {
  return *make_name(std::string(GUEST) + std::to_string(port) + "-" + unique);
}

std::optional<std::uint32_t> guest_port(const UnixName& name) {
  if (name.size <= PATH) return std::nullopt;
  std::string_view text(name.address.sun_path, name.size - PATH);
  if (!text.starts_with(GUEST)) return std::nullopt;
  text.remove_prefix(GUEST.size());
  std::uint32_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end == text.data() + text.size() || *end != '-') return std::nullopt;
  return port;
}

std::optional<std::uint32_t> host_port(const UnixName& name) {
  if (name.size <= PATH) return std::nullopt;
  std::string_view text(name.address.sun_path, name.size - PATH);
  text.remove_prefix(text.rfind('.') + 1);  // npos + 1 is 0, if there is no dot
  std::uint32_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() ? std::optional(port) : std::nullopt;
}

std::optional<UnixName> name_of(int socket, bool peer) {
  UnixName name;
  name.size = sizeof name.address;
  auto* address = reinterpret_cast<sockaddr*>(&name.address);
  int result =
      peer ? getpeername(socket, address, &name.size) : getsockname(socket, address, &name.size);
  if (result != 0 || name.address.sun_family != AF_UNIX) return std::nullopt;
  if (name.size > sizeof name.address) name.size = sizeof name.address;
  return name;
}

std::string process_word() {
  static const std::uint64_t number =
      std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  return std::to_string(getpid()) + "-" + std::to_string(number);
}

}  // namespace vmtpy::emulator
