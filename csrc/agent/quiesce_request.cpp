// Parses both spellings. The body is GuestQuiesceParams of open-vm-tools: a union by version of
// optional structures. Version 2 is version 1 followed by fields for Windows, which are not read.
#include "agent/quiesce_request.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace vmtpy::agent {

namespace {

constexpr std::size_t LONGEST_ARGUMENT = 256;
constexpr std::size_t LONGEST_VOLUMES = 3200;

// Reads XDR (RFC 4506) from the front. It keeps the first error, which ends all reading. It lives
// in one call of parse_start_with_options().
class Reader {
 public:
  explicit Reader(std::string_view body) : body_(body) {}
  const std::string& wrong() const { return wrong_; }

  std::uint32_t number(const char* name) {
    if (!has(4, name)) return 0;
    std::uint32_t value = 0;
    for (char byte : body_.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(byte);
    body_.remove_prefix(4);
    return value;
  }

  bool truth(const char* name) {
    const std::uint32_t value = number(name);
    if (value > 1) fail(name, "is neither 0 nor 1");
    return value == 1;
  }

  std::string text(const char* name, std::size_t longest) {
    const std::size_t size = number(name);
    if (size > longest) fail(name, "is too long");
    const std::size_t padded = (size + 3) / 4 * 4;
    if (!wrong_.empty() || !has(padded, name)) return "";
    const std::string_view value = body_.substr(0, size);
    if (value.find('\0') != std::string_view::npos) fail(name, "has a NUL");
    body_.remove_prefix(padded);
    return std::string(value);
  }

 private:
  bool has(std::size_t bytes, const char* name) {
    if (body_.size() < bytes) fail(name, "is cut off");
    return wrong_.empty();
  }
  void fail(const char* name, const char* how) {
    if (wrong_.empty()) wrong_ = std::string(name) + " " + how;
  }

  std::string_view body_;
  std::string wrong_;
};

// Says whether a text is an integer in decimal digits, however large.
bool is_integer(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string parse_start(std::string_view arguments, QuiesceRequest& request) {
  const std::size_t space = arguments.find(' ');
  const std::string_view manifest = arguments.substr(0, space);
  if (!manifest.empty() && !is_integer(manifest)) {
    return "ERROR vmbackup.start: expected an integer (0: no manifest)";
  }
  request = {};
  request.manifest = manifest.find_first_of("123456789") != std::string_view::npos;
  if (space != std::string_view::npos) request.volumes = arguments.substr(space + 1);
  return "";
}

std::string parse_start_with_options(std::string_view body, QuiesceRequest& request) {
  Reader reader(body);
  const std::uint32_t version = reader.number("version");
  if (reader.wrong().empty() && version != 1 && version != 2) {
    return "ERROR Incompatible quiesce parameter version";
  }
  QuiesceRequest read;
  const bool present = reader.truth("the presence of the parameters");
  read.manifest = reader.truth("createManifest");
  reader.truth("quiesceApps");  // hooks do what is done for applications
  read.freeze = reader.truth("quiesceFS");
  reader.truth("writableSnapshot");  // only Windows has it
  read.scripts = reader.truth("execScripts");
  read.script_argument = reader.text("scriptArg", LONGEST_ARGUMENT);
  read.timeout = std::chrono::seconds(reader.number("timeout"));
  read.volumes = reader.text("diskUuids", LONGEST_VOLUMES);
  if (reader.wrong().empty() && !present) return "ERROR vmbackup.startWithOpts: no parameters";
  if (!reader.wrong().empty()) return "ERROR vmbackup.startWithOpts: " + reader.wrong();
  request = std::move(read);
  return "";
}

}  // namespace vmtpy::agent
