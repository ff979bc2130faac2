// Reads small files with plain system calls, and takes kernel texts apart. It relies on no path
// leading to a disk or a network.
#include "linux/facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/unique_fd.h"

namespace vmtpy::linux {

namespace {
constexpr std::size_t LARGEST = 16u << 20;
}

bool read_whole(const std::string& path, std::string& text) {
  text.clear();
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return false;
  char buffer[16384];
  ssize_t got = 0;
  do {
    got = read(file.get(), buffer, sizeof buffer);
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  } while ((got > 0 || (got < 0 && errno == EINTR)) && text.size() < LARGEST);
  return got >= 0;
}

std::string read_line(const std::string& path) {
  std::string text;
  if (!read_whole(path, text)) return {};
  if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
  return text;
}

std::string read_link(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = readlink(path.c_str(), target, sizeof target);
  return size > 0 ? std::string(target, static_cast<std::size_t>(size)) : std::string();
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return names;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): safe in glibc for streams that threads do not share
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::int64_t> find_number(std::string_view text, std::string_view name) {
  for (;;) {
    if (text.starts_with(name)) {
      text.remove_prefix(std::min(text.find_first_not_of(" \t", name.size()), text.size()));
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      return error == std::errc() ? std::optional(number) : std::nullopt;
    }
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end + 1);
  }
}

bool is_device_number(std::string_view text) {
  unsigned major = 0, minor = 0;
  const char* end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, major);
  if (error != std::errc() || colon == end || *colon != ':') return false;
  const auto [rest, error_after] = std::from_chars(colon + 1, end, minor);
  return error_after == std::errc() && rest == end;
}

std::string unescape(std::string_view text) {
  const auto octal = [&](std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1;
  };
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int a = octal(at + 1), b = octal(at + 2), c = octal(at + 3);
    if (text[at] == '\\' && a >= 0 && a < 4 && b >= 0 && c >= 0) {
      plain += static_cast<char>(a * 64 + b * 8 + c);
      at += 3;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

std::string normal_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      kept.push_back(part);
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string normal;
  for (const std::string_view part : kept) normal.append("/").append(part);
  return normal.empty() ? "/" : normal;
}

}  // namespace vmtpy::linux
