// What the host asks for when it starts a quiesced snapshot, in its two spellings: words after
// vmbackup.start, and the XDR body of vmbackup.startWithOpts. It serves the backup machine. The
// functions depend only on what the host sent, which may be anything.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace vmtpy::agent {

struct QuiesceRequest {
  bool manifest = false;        // the host can take a manifest
  bool freeze = true;           // false to freeze nothing and only hold the hooks
  bool scripts = true;          // false to call no hooks
  std::string volumes;          // paths or disk UUIDs, separated by spaces; "" for everything
  std::string script_argument;  // given to hooks unchanged; "" for none
  // The longest time from start to thaw. 0 means that the configuration decides.
  Duration timeout{};
};

// Both functions return the error for the host, "" if there is none. They change `request` only
// where there is none.
std::string parse_start(std::string_view arguments, QuiesceRequest& request);
std::string parse_start_with_options(std::string_view body, QuiesceRequest& request);

}  // namespace vmtpy::agent
