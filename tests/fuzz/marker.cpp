// Any text as a marker file: refused with the reason, or read so that writing it again loses
// nothing.
#include "freeze/marker.h"

#include <string>

#include "fuzz.h"

using namespace vmtpy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  freeze::Marker marker;
  std::string error;
  if (!freeze::parse_marker(text, marker, error)) {
    check(!error.empty(), "a refusal says what is wrong");
    return 0;
  }
  freeze::Marker again;
  check(freeze::parse_marker(freeze::format_marker(marker), again, error),
        "what was read can be written");
  check(freeze::format_marker(again) == freeze::format_marker(marker),
        "and read again without a loss");
  return 0;
}
