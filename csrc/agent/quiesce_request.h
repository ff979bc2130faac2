// What the host asks for when it starts a quiesced snapshot, in its two spellings: words after
// vmbackup.start, and the XDR body of vmbackup.startWithOpts. Pure functions of what the host sent,
// which may be anything. Serves the backup machine.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace vmtpy::agent {

struct QuiesceRequest {
  bool manifest = false;        // the host can take a manifest
  bool freeze = true;           // false: freeze nothing, only hold the hooks
  bool scripts = true;          // false: call no hooks
  std::string volumes;          // paths or disk UUIDs, separated by spaces; "": everything
  std::string script_argument;  // handed to hooks as it is; "": none
  Duration limit{};             // for all of it, start to thaw; 0: as configured here
};

// Both give the error for the host, "" if there is none; only then `request` is changed.
std::string parse_start(std::string_view arguments, QuiesceRequest& request);
std::string parse_start_with_options(std::string_view body, QuiesceRequest& request);

}  // namespace vmtpy::agent
