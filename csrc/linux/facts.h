// Readers for small files, links and directories of proc, sysfs and /dev. They serve the plan,
// which reads mounts, block stack and volumes. What cannot be read is empty, because there absence
// is a fact and not an error. No function touches a disk or a network, so none can hang.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmtpy::linux {

// Reads up to 16 MiB of a file. Returns false if it cannot be opened or read.
bool read_whole(const std::string& path, std::string& text);
// Returns the first line of a small file without its newline, or "" if there is none.
std::string read_line(const std::string& path);
// Returns the target of a symbolic link, or "" if the path is no link.
std::string read_link(const std::string& path);
// Returns the names in a directory in order, without "." and "..".
std::vector<std::string> list_directory(const std::string& path);
bool exists(const std::string& path);

std::string_view base_name(std::string_view path);
std::vector<std::string_view> split(std::string_view text, char separator);
// Returns the number that follows `name` at the beginning of a line: "Dirty:" in "Dirty:  12 kB".
std::optional<std::int64_t> find_number(std::string_view text, std::string_view name);
bool is_device_number(std::string_view text);  // "major:minor"
// Undoes the kernel's octal escapes: "\040" becomes a blank.
std::string unescape(std::string_view text);
// Takes out ".", ".." and doubled or trailing slashes by text alone. No link is followed.
std::string normal_path(std::string_view path);

}  // namespace vmtpy::linux
