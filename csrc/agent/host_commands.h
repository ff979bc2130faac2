// The commands that a host may send over TCLO: the name of each, who answers it, and whether text
// or bytes follow the name. It serves the conversation with the host. The functions depend only on
// what the host sent, which may be anything.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace vmtpy::agent {

struct HostCommand {
  enum class Answerer : std::uint8_t {
    NOBODY,        // the command is unknown
    CONVERSATION,  // the conversation with the host itself
    BACKUP,        // the backup machine
    HGFS,          // the server of the manifest
    VIX,           // the answer about the state of the tools
    SERVICE,       // Python
  };
  enum class Body : std::uint8_t { TEXT, BINARY };
  std::string_view name;
  Answerer answerer = Answerer::NOBODY;
  Body body = Body::TEXT;
};

// All commands, sorted by name.
std::span<const HostCommand> host_commands();

struct HostRequest {
  std::string_view name;
  std::string_view arguments;  // the part after the name and one blank
  HostCommand::Answerer answerer = HostCommand::Answerer::NOBODY;
};

// Takes a message apart. Real hosts end some commands with a NUL ("ping\0") and others not, so NULs
// at the end of a text command are dropped. A binary body stays as it is. The parts point into
// `message`.
HostRequest read_host_request(std::string_view message);

}  // namespace vmtpy::agent
