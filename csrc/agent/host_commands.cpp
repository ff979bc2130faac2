// The table of commands, in which a binary search finds a name. It relies on its own order, which
// the compiler checks.
#include "agent/host_commands.h"

#include <algorithm>
#include <array>

namespace vmtpy::agent {

namespace {

using Answerer = HostCommand::Answerer;
using Body = HostCommand::Body;

constexpr std::array TABLE = {
    HostCommand{"Capabilities_Register", Answerer::CONVERSATION},
    HostCommand{"OS_Halt", Answerer::SERVICE},
    HostCommand{"OS_PowerOn", Answerer::SERVICE},
    HostCommand{"OS_Reboot", Answerer::SERVICE},
    HostCommand{"OS_Resume", Answerer::SERVICE},
    HostCommand{"OS_Suspend", Answerer::SERVICE},
    HostCommand{"Set_Option", Answerer::SERVICE},
    HostCommand{"Time_Synchronize", Answerer::SERVICE},
    HostCommand{"Vix_1_Relayed_Command", Answerer::VIX, Body::BINARY},
    HostCommand{"f", Answerer::HGFS, Body::BINARY},
    HostCommand{"ping", Answerer::CONVERSATION},
    HostCommand{"reset", Answerer::CONVERSATION},
    HostCommand{"vmbackup.abort", Answerer::BACKUP},
    HostCommand{"vmbackup.snapshotCompleted", Answerer::BACKUP},
    HostCommand{"vmbackup.snapshotDone", Answerer::BACKUP},
    HostCommand{"vmbackup.start", Answerer::BACKUP},
    HostCommand{"vmbackup.startWithOpts", Answerer::BACKUP, Body::BINARY},
};

constexpr bool before(const HostCommand& left, const HostCommand& right) {
  return left.name < right.name;
}
static_assert(std::is_sorted(TABLE.begin(), TABLE.end(), before));

HostCommand find(std::string_view name) {
  const auto* row = std::lower_bound(TABLE.begin(), TABLE.end(), HostCommand{name}, before);
  return row != TABLE.end() && row->name == name ? *row : HostCommand{name};
}

std::string_view without_nuls(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

}  // namespace

std::span<const HostCommand> host_commands() {
  return TABLE;
}

HostRequest read_host_request(std::string_view message) {
  const std::size_t blank = message.find(' ');
  const bool bare = blank == std::string_view::npos;
  if (bare || find(message.substr(0, blank)).body == Body::TEXT) message = without_nuls(message);
  const std::string_view name = message.substr(0, blank);
  return {name, bare ? std::string_view() : message.substr(blank + 1), find(name).answerer};
}

}  // namespace vmtpy::agent
