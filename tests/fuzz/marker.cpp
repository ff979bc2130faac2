// Any text as a marker file: refused with the reason, or read so that writing it again loses
// nothing.
#include "core/marker.h"

#include <string>

#include "fuzz.h"

using namespace vmtpy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Marker marker;
  std::string error;
  if (!parse_marker(text, marker, error)) {
    check(!error.empty(), "a refusal says what is wrong");
    return 0;
  }
  Marker again;
  check(parse_marker(format_marker(marker), again, error), "what was read can be written");
  check(format_marker(again) == format_marker(marker), "and read again without a loss");
  return 0;
}
