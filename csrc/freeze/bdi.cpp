// Reads and writes the files of one backing device, or of vm.dirty_bytes. Relies on System, so that
// tests can play the kernel.
#include "freeze/bdi.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>

#include "freeze/dirty.h"
#include "linux/facts.h"

namespace vmtpy::freeze {

namespace {

constexpr int TRIES = 3;
constexpr int SECTOR = 512;
constexpr std::int64_t KIB = 1024;
constexpr const char* CLASS = "/sys/class/bdi/";
constexpr const char* VM = "/proc/sys/vm/";
constexpr std::int64_t ALL = 1000000;  // in the files whose names end in _ratio_fine

std::string first_word(const std::string& text) {
  return text.substr(0, text.find_first_of(" \t\n"));
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 20 &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

int read_bdi_stats(linux::System& system, const std::string& name, BdiStats& stats) {
  std::string text;
  const int error = system.read_file("/sys/kernel/debug/bdi/" + name + "/stats", text);
  if (error) return error;
  const auto writing = linux::find_number(text, "BdiWriteback:");
  const auto waiting = linux::find_number(text, "BdiReclaimable:");
  const auto written = linux::find_number(text, "BdiWritten:");
  if (!writing || !waiting || !written) return -EINVAL;
  const std::int64_t rate = linux::find_number(text, "BdiWriteBandwidth:").value_or(0);
  stats = {(*writing + *waiting) * KIB, *writing * KIB, *written * KIB,
           static_cast<double>(rate * KIB)};
  return 0;
}

int read_device_written(linux::System& system, const std::string& device, std::int64_t& bytes) {
  std::string text;
  const int error = system.read_file("/sys/dev/block/" + device + "/stat", text);
  if (error) return error;
  std::istringstream words(text);
  std::int64_t value = -1;
  // The seventh field is the number of sectors written.
  for (int field = 0; field < 7; ++field) words >> value;
  if (!words) return -EINVAL;
  bytes = value * SECTOR;
  return 0;
}

bool is_bound_file(const std::string& path) {
  const std::string machine(VM);
  if (path == machine + "dirty_bytes" || path == machine + "dirty_ratio") return true;
  if (!path.starts_with(CLASS)) return false;
  const std::string rest = path.substr(std::string_view(CLASS).size());
  const std::size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string::npos || rest.front() == '.') return false;
  const std::string file = rest.substr(slash + 1);
  return file == "strict_limit" || file == "min_ratio_fine" || file == "max_ratio_fine";
}

int put_back(linux::System& system, const Restore& restore) {
  const int error = system.write_file(restore.path, restore.text);
  return error == -ENOENT || error == -ENODEV ? 0 : error;  // the device is gone
}

DirtyBound::DirtyBound(linux::System& system, std::string name)
    : system_(system),
      name_(std::move(name)),
      directory_(name_.empty() ? VM : CLASS + name_ + "/") {}

bool DirtyBound::look() {
  if (name_.empty()) return look_global();
  std::string strict, least, most, bytes;
  wanted_ = system_.read_file(directory_ + "strict_limit", strict) == 0 &&
            first_word(strict) == "0" && system_.read_file(directory_ + "max_bytes", bytes) == 0 &&
            system_.read_file(directory_ + "min_ratio_fine", least) == 0 &&
            system_.read_file(directory_ + "max_ratio_fine", most) == 0;
  least = first_word(least);
  most = first_word(most);
  wanted_ = wanted_ && is_number(least) && is_number(most);
  // The minimum may never be above the maximum, so it goes down first.
  if (wanted_) {
    restores_ = {{directory_ + "strict_limit", "0"},
                 {directory_ + "min_ratio_fine", "0"},
                 {directory_ + "max_ratio_fine", most},
                 {directory_ + "min_ratio_fine", least}};
  }
  return wanted_;
}

// One of the two files is 0, and writing one sets the other to 0.
bool DirtyBound::look_global() {
  std::string bytes, ratio;
  wanted_ = system_.read_file(directory_ + "dirty_bytes", bytes) == 0 &&
            system_.read_file(directory_ + "dirty_ratio", ratio) == 0;
  bytes = first_word(bytes);
  ratio = first_word(ratio);
  wanted_ = wanted_ && is_number(bytes) && is_number(ratio);
  if (wanted_) {
    restores_ = {bytes == "0" ? Restore{directory_ + "dirty_ratio", ratio}
                              : Restore{directory_ + "dirty_bytes", bytes}};
    most_ = vmstat_bytes(system_, "nr_dirty_threshold").value_or(NONE);
  }
  return wanted_;
}

int DirtyBound::write(const char* file, std::int64_t value) {
  return system_.write_file(directory_ + file, std::to_string(value));
}

// Sets the bound by the minimum and the maximum. The share of the limit that the kernel gives a
// device follows what it has written lately, and a device that has just woken up has a tiny share,
// at which a strict limit stops its writers. With the minimum equal to the maximum the limit is the
// value that was asked for.
bool DirtyBound::set(std::int64_t bytes) {
  if (!wanted_) return false;
  changed_ = true;
  if (name_.empty()) return write("dirty_bytes", std::min(bytes, most_)) == 0;
  if (bytes < bytes_ && bytes_ != NONE) write("min_bytes", bytes);
  int error = write("max_bytes", bytes);
  // The kernel takes no maximum below the minimum, which may be an administrator's, and none above
  // the limit of the whole machine.
  if (error == -EINVAL) {
    write("min_ratio_fine", 0);
    error = write("max_bytes", bytes);
  }
  if (error == -EINVAL) return lift();
  if (error) return false;
  // The sum of all devices' minima may not reach 100 %. Where it would, the minimum stays as it is.
  write("min_bytes", bytes);
  if (bytes_ == NONE && write("strict_limit", 1) != 0) return false;
  bytes_ = bytes;
  return true;
}

// Leaves the device to the limit of the whole machine until the bound is below that.
bool DirtyBound::lift() {
  if (bytes_ == NONE) return true;
  bytes_ = NONE;
  return write("strict_limit", 0) == 0 && write("max_ratio_fine", ALL) == 0;
}

bool DirtyBound::restore() {
  bytes_ = NONE;
  for (int attempt = 0; changed_ && attempt < TRIES; ++attempt) {
    changed_ = !std::all_of(restores_.begin(), restores_.end(), [this](const Restore& restore) {
      return put_back(system_, restore) == 0;
    });
  }
  return !changed_;
}

}  // namespace vmtpy::freeze
