// Reads any text as a marker file. It is refused with a reason, or read so that writing it again
// loses nothing.
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
        "a marker that was read can be written and read");
  check(freeze::format_marker(again) == freeze::format_marker(marker),
        "a marker loses nothing when it is written");
  return 0;
}
