// Formats and parses markers, line by line. A parsed marker may name only files and devices of the
// right form.
#include "freeze/marker.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <sstream>
#include <string_view>

#include "linux/facts.h"

namespace vmtpy::freeze {

namespace {

constexpr const char* FIRST_LINE = "vmtpy freeze marker 1";

// Escapes white space and backslashes in octal, as mountinfo does, so that an entry stays one line.
std::string escape(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    const unsigned value = static_cast<unsigned char>(c);
    if (value <= ' ' || c == '\\') {  // everything that a stream takes for the end of a word
      escaped +=
          {'\\', static_cast<char>('0' + (value >> 6)), static_cast<char>('0' + ((value >> 3) & 7)),
           static_cast<char>('0' + (value & 7))};
    } else {
      escaped += c;
    }
  }
  return escaped;
}

bool unescape(std::string_view text, std::string& path) {
  path.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      path += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 3);
    const auto end = digits.data() + digits.size();
    if (digits.size() != 3 || std::from_chars(digits.data(), end, value, 8).ptr != end ||
        value > 255) {
      return false;
    }
    path += static_cast<char>(value);
    i += 3;
  }
  return !path.empty() && path.find('\0') == std::string::npos;
}

bool parse_line(const std::string& line, Marker& marker) {
  std::istringstream words(line);
  std::string key;
  words >> key;
  if (key == "boot") return static_cast<bool>(words >> marker.boot);
  if (key == "process") {
    return static_cast<bool>(words >> marker.process >> marker.process_start) && marker.process > 0;
  }
  if (key == "rcu_expedited") return (words >> marker.rcu) && (marker.rcu == "0");
  if (key == "bound") {
    Restore bound;
    if (!(words >> bound.path >> bound.text) || !is_bound_file(bound.path)) return false;
    marker.bounds.push_back(bound);
    return bound.text.find_first_not_of("0123456789") == std::string::npos;
  }
  if (key != "filesystem") return false;
  Marker::Entry entry;
  std::string path, type;
  if (!(words >> entry.device >> path >> type) || !linux::is_device_number(entry.device) ||
      !unescape(path, entry.path) || !unescape(type, entry.type)) {
    return false;
  }
  marker.filesystems.push_back(entry);
  return true;
}

}  // namespace

std::string format_marker(const Marker& marker) {
  std::ostringstream text;
  text << FIRST_LINE << "\nboot " << marker.boot << "\nprocess " << marker.process << ' '
       << marker.process_start << '\n';
  if (!marker.rcu.empty()) text << "rcu_expedited " << marker.rcu << '\n';
  for (const Restore& bound : marker.bounds) {
    text << "bound " << bound.path << ' ' << bound.text << '\n';
  }
  for (const Marker::Entry& entry : marker.filesystems) {
    text << "filesystem " << entry.device << ' ' << escape(entry.path) << ' ' << escape(entry.type)
         << '\n';
  }
  text << "end\n";
  return text.str();
}

bool parse_marker(const std::string& text, Marker& marker, std::string& error) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != FIRST_LINE) {
    error = "does not begin with \"" + std::string(FIRST_LINE) + "\"";
    return false;
  }
  for (int number = 2; std::getline(lines, line); ++number) {
    if (line == "end") {
      if (!marker.boot.empty() && marker.process > 0) return true;
      break;
    }
    if (!parse_line(line, marker)) {
      error = "line " + std::to_string(number) + " is not understood: " + line.substr(0, 100);
      return false;
    }
  }
  error = "is incomplete";
  return false;
}

bool read_process(linux::System& system, const std::string& process, char& state,
                  std::uint64_t& start) {
  std::string text;
  if (system.read_file("/proc/" + process + "/stat", text) != 0) return false;
  const std::size_t name_end = text.rfind(')');  // the name may hold anything, even ") S 1"
  if (name_end == std::string::npos) return false;
  std::istringstream words(text.substr(name_end + 1));
  std::string skipped;
  words >> state;
  for (int field = 4; field < 22; ++field) words >> skipped;
  return static_cast<bool>(words >> start);
}

int read_boot_id(linux::System& system, std::string& boot) {
  if (const int error = system.read_file(BOOT_ID, boot)) return error;
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  return 0;
}

int prepare_marker(linux::System& system, const std::string& run_directory,
                   const std::vector<plan::Filesystem>& filesystems, const std::string& rcu,
                   const std::vector<Restore>& bounds, PreparedMarker& prepared) {
  static std::atomic<unsigned> counter{0};
  Marker marker;
  marker.process = getpid();
  marker.rcu = rcu;
  marker.bounds = bounds;
  char state = 0;
  if (!read_process(system, "self", state, marker.process_start)) return -ESRCH;
  if (const int error = read_boot_id(system, marker.boot)) return error;
  for (const plan::Filesystem& filesystem : filesystems) {
    if (filesystem.sync_only) continue;
    marker.filesystems.push_back({filesystem.device, filesystem.path, filesystem.type});
  }
  // The start time tells this process from earlier ones with its id, whose markers may still exist.
  prepared.path = run_directory + "/freeze-" + std::to_string(marker.process) + "-" +
                  std::to_string(marker.process_start) + "-" + std::to_string(++counter);
  prepared.text = format_marker(marker);
  return 0;
}

int write_marker(linux::System& system, const std::string& run_directory,
                 const PreparedMarker& prepared) {
  if (const int error = system.make_directory(run_directory)) return error;
  return system.create_file(prepared.path, prepared.text);
}

}  // namespace vmtpy::freeze
