// Reads any bytes as the body of vmbackup.startWithOpts. They are read or refused, and a refusal
// leaves no trace.
#include <string_view>

#include "agent/quiesce_request.h"
#include "fuzz.h"

using namespace vmtpy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {agent::parse_start, agent::parse_start_with_options}) {
    agent::QuiesceRequest request;
    request.volumes = "as before";
    const std::string error = parse(body, request);
    check(error.empty() || error.starts_with("ERROR "), "an error begins with ERROR");
    check(error.empty() || request.volumes == "as before", "a refusal leaves no trace");
    check(request.timeout >= Duration::zero(), "a limit is not negative");
  }
  return 0;
}
