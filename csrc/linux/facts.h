// Small files, links and directories of proc, sysfs and /dev, read without ceremony for mounts,
// stack and volumes. What cannot be read is empty: absence is a fact there, not an error. None of
// it touches a disk or a network, so none of it can hang.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmtpy::linux {

// Up to 16 MiB of a file; false if it cannot be opened or read.
bool read_whole(const std::string& path, std::string& text);
// The first line of a small file without its newline, "" if there is none.
std::string read_line(const std::string& path);
// The target of a symbolic link, "" if it is none.
std::string read_link(const std::string& path);
// The names in a directory without "." and "..", sorted.
std::vector<std::string> list_directory(const std::string& path);
bool exists(const std::string& path);

std::string_view base_name(std::string_view path);
std::vector<std::string_view> split(std::string_view text, char separator);
// Undoes the kernel's octal escapes: "\040" is a blank.
std::string unescape(std::string_view text);
// "." and ".." and doubled or trailing slashes taken out, by text alone: no link is followed.
std::string normal_path(std::string_view path);

}  // namespace vmtpy::linux
