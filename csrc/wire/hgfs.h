// The guest's HGFS server. It serves the host one file, the manifest of the last backup, which is
// in memory; it never opens a file of the guest. The host is not trusted: a packet that asks for
// anything else gets HGFS's own error, sessions and handles are bounded, and no answer is larger
// than a page.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/hgfs_wire.h"

namespace vmtpy::wire {

// Owned by the agent, used by the loop's thread alone, and as long-lived as the agent.
class HgfsServer {
 public:
  // The most bytes of the file, so that a page holds it.
  static constexpr std::size_t MAX_CONTENT = 3072;
  static constexpr std::size_t MAX_SESSIONS = 8;
  static constexpr std::size_t MAX_HANDLES = 16;

  // `seed` should grow from one server to the next, so that sessions of an earlier server are
  // stale.
  explicit HgfsServer(std::uint64_t seed) : session_(seed) {}

  // Serves this file from now on and no other. Open handles are closed. Throws
  // std::invalid_argument for a path that is not absolute and for a content that is too large.
  void serve(std::string_view path, std::string content);
  static void check(std::string_view path, std::string_view content);  // throws as serve() does
  // Stops serving a file.
  void withdraw();

  // Returns the TCLO answer to a packet: "OK " and a packet, or "ERROR …".
  std::string answer(std::string_view packet);

 private:
  struct Request;
  class Body;
  struct Handle {
    std::uint64_t session = 0;
    std::uint32_t number = 0;  // 0 where the handle is free
  };

  hgfs::Status dispatch(const Request& request, std::string& reply);
  hgfs::Status create_session(Body body, std::string& reply);
  hgfs::Status destroy_session(const Request& request, std::string& reply);
  hgfs::Status attributes(const Request& request, Body body, std::string& reply);
  hgfs::Status open(const Request& request, Body body, std::string& reply);
  hgfs::Status open_v3(const Request& request, Body body, std::string& reply);
  hgfs::Status read(const Request& request, Body body, std::string& reply);
  hgfs::Status close(const Request& request, Body body, std::string& reply);
  hgfs::Status find(std::string_view name) const;
  hgfs::Status may_open(std::uint32_t mode, std::uint32_t flags, std::string_view name) const;
  std::uint32_t new_handle(std::uint64_t session);
  Handle* handle(std::uint64_t session, std::uint32_t number);
  bool knows(std::uint64_t session) const;
  void end_session(std::uint64_t session);

  std::string name_;  // the file's name in the form of the wire; "" when no file is served
  std::string content_;
  // The oldest session makes room for a new one, because a host that was lost leaves its sessions
  // behind. 0 is a free place.
  std::array<std::uint64_t, MAX_SESSIONS> sessions_{};
  std::size_t next_session_ = 0;
  std::array<Handle, MAX_HANDLES> handles_{};
  std::size_t next_handle_ = 0;
  std::uint64_t session_;     // the last session that was begun
  std::uint32_t number_ = 0;  // the number of the last handle
};

}  // namespace vmtpy::wire
