// Groups the filesystems, reads the kernel's figures for each group, and applies the controller's
// bounds.
#include "freeze/storage.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <utility>

#include "freeze/dirty.h"

namespace vmtpy::freeze {

namespace {

using namespace std::chrono_literals;

// A writer that is paced makes the kernel write. Without one the kernel would wait for seconds. A
// syncfs that comes too soon holds the writers of a slow disk for seconds, so that even a machine
// that is short of processor time gets its chance to write.
constexpr Duration PATIENCE = 2s;
constexpr Duration PATIENCE_WITH_NOBODY = 150ms;
constexpr double NOBODY = 1 << 20;                    // bytes a second that are no writer
constexpr std::int64_t MUCH = std::int64_t{8} << 20;  // in bytes; less is synced at once
constexpr double MIB = 1 << 20;

bool is_block_device(const std::string& name) {
  return !name.empty() && name.front() >= '0' && name.front() <= '9';
}

bool share_any(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  return std::any_of(left.begin(), left.end(), [&right](const std::string& name) {
    return std::find(right.begin(), right.end(), name) != right.end();
  });
}

void merge(std::vector<std::string>& into, const std::vector<std::string>& from) {
  for (const std::string& name : from) {
    if (std::find(into.begin(), into.end(), name) == into.end()) into.push_back(name);
  }
}

// Returns the block devices that tell what goes to the disks of an anonymous device. A loop image
// in memory has no disk.
std::vector<std::string> counted(const plan::Filesystem& filesystem) {
  if (!filesystem.disks.empty()) return filesystem.disks;
  std::vector<std::string> devices;
  std::copy_if(filesystem.bdis.begin(), filesystem.bdis.end(), std::back_inserter(devices),
               is_block_device);
  return devices;
}

std::string mebibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 10 * MIB ? "%.1f MiB/s" : "%.0f MiB/s", bytes / MIB);
  return text;
}

}  // namespace

Storage::Storage(linux::System& system, Converge converge) : system_(system), converge_(converge) {}

void Storage::look(const std::vector<plan::Filesystem>& filesystems, Duration goal, Time now,
                   Time deadline) {
  goal_ = goal;
  figures_.resize(filesystems.size());
  BdiStats stats;
  by_debugfs_ = converge_ != Converge::GLOBAL;
  for (const plan::Filesystem& filesystem : filesystems) {
    for (const std::string& name : filesystem.bdis) {
      by_debugfs_ = by_debugfs_ && read_bdi_stats(system_, name, stats) == 0;
    }
  }
  group(filesystems, goal, deadline);
  for (Group& group : groups_) {
    for (DirtyBound& bound : group.bounds) bound.look();
  }
  observe(now);
  for (StorageFigures& figures : figures_) figures.dirty_before = figures.dirty_left;
}

// Groups the filesystems that share a device, because they share its speed. Where dirty pages are
// counted or bounded only for the machine, all filesystems are one group.
void Storage::group(const std::vector<plan::Filesystem>& filesystems, Duration goal,
                    Time deadline) {
  const bool as_one = !by_debugfs_;
  std::vector<std::vector<std::string>> keys;
  for (std::size_t index = 0; index < filesystems.size(); ++index) {
    const plan::Filesystem& filesystem = filesystems[index];
    if (filesystem.bdis.empty()) continue;
    Group fresh{{index},
                filesystem.bdis,
                filesystem.sinks,
                counted(filesystem),
                {},
                Convergence(goal, deadline)};
    std::vector<std::string> key = filesystem.bdis;
    merge(key, filesystem.disks);
    for (std::size_t at = groups_.size(); at-- > 0;) {
      if (!as_one && !share_any(keys[at], key)) continue;
      Group& same = groups_[at];
      fresh.filesystems.insert(fresh.filesystems.end(), same.filesystems.begin(),
                               same.filesystems.end());
      merge(fresh.devices, same.devices);
      merge(fresh.sinks, same.sinks);
      merge(fresh.disks, same.disks);
      merge(key, keys[at]);
      groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(at));
      keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(at));
    }
    groups_.push_back(std::move(fresh));
    keys.push_back(std::move(key));
  }
  for (Group& group : groups_) {
    if (converge_ == Converge::GLOBAL) group.bounds.emplace_back(system_, DirtyBound::GLOBAL);
    if (converge_ != Converge::AUTO) continue;
    for (const std::string& name : group.devices) group.bounds.emplace_back(system_, name);
  }
}

bool Storage::read(Group& group, WritebackFacts& facts) {
  bool known = true;
  if (by_debugfs_) {
    for (const std::string& name : group.devices) {
      BdiStats stats;
      known = read_bdi_stats(system_, name, stats) == 0 && known;
      facts.dirty.push_back(stats.dirty);
      facts.writing += stats.writing;
      facts.written_back += stats.written;
      facts.kernel_rate = std::max(facts.kernel_rate, stats.rate);
    }
  } else {
    const auto pages = dirty_pages(system_);
    known = pages.has_value();
    facts.dirty.push_back(known ? pages->bytes() : 0);
    facts.writing = known ? pages->writing : 0;
    facts.written_back = vmstat_bytes(system_, "nr_written").value_or(0);
  }
  // Of an anonymous device only debugfs tells what it has written.
  const bool by_sinks =
      by_debugfs_ || std::all_of(group.sinks.begin(), group.sinks.end(), is_block_device);
  for (const std::string& sink : by_sinks ? group.sinks : group.disks) {
    std::int64_t bytes = 0;
    BdiStats stats;
    if (is_block_device(sink)) {
      known = read_device_written(system_, sink, bytes) == 0 && known;
    } else {
      known = read_bdi_stats(system_, sink, stats) == 0 && known;
      bytes = stats.written;
    }
    facts.written += bytes;
  }
  return known;
}

const char* Storage::rate_source() const {
  if (groups_.empty()) return "";
  const bool by_disks = std::any_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return std::any_of(group.sinks.begin(), group.sinks.end(), is_block_device);
  });
  return by_disks || !by_debugfs_ ? "sectors" : "debugfs";
}

void Storage::observe(Time now) {
  for (Group& group : groups_) {
    WritebackFacts facts;
    if (!read(group, facts)) continue;
    group.convergence.observe(now, facts);
    if (group.is_paced()) {
      apply(group);
    } else if (pacing()) {
      begin_pacing(group, now);  // its writers may have begun after those of another group
    }
    for (const std::size_t index : group.filesystems) {
      StorageFigures& figures = figures_[index];
      figures.dirty_left = group.convergence.dirty();
      const WritebackRates& rates = group.convergence.rates();
      figures.disk_rate = rates.has_measured() ? rates.disk_rate() : 0;
      figures.writer_rate = rates.writer_rate();
      figures.expected_hold = group.convergence.expected_hold();
    }
  }
}

bool Storage::apply(Group& group) {
  bool set = true;
  const std::vector<std::int64_t>& bounds = group.convergence.bounds();
  for (std::size_t index = 0; index < group.bounds.size(); ++index) {
    set = group.bounds[index].set(bounds[std::min(index, bounds.size() - 1)]) && set;
  }
  return set;
}

const Storage::Group* Storage::slowest_group() const {
  const Group* slowest = nullptr;
  for (const Group& group : groups_) {
    if (slowest == nullptr ||
        group.convergence.expected_hold() > slowest->convergence.expected_hold()) {
      slowest = &group;
    }
  }
  return slowest;
}

bool Storage::is_ready(const Group& group) const {
  const bool reached = group.convergence.reached();
  return group.is_paced() ? reached : reached || group.convergence.expected_hold() <= goal_;
}

bool Storage::ready() const {
  return std::all_of(groups_.begin(), groups_.end(),
                     [this](const Group& group) { return is_ready(group); });
}

bool Storage::has_measured() const {
  const Group* slowest = slowest_group();
  return slowest != nullptr && slowest->convergence.rates().has_measured();
}

bool Storage::seems_slow() const {
  return std::any_of(groups_.begin(), groups_.end(), [this](const Group& group) {
    return group.convergence.dirty() >= MUCH && !is_ready(group);
  });
}

bool Storage::stands() const {
  return std::any_of(groups_.begin(), groups_.end(), [this](const Group& group) {
    const Convergence& facts = group.convergence;
    const bool nobody = !facts.has_flowed() && facts.rates().writer_rate() < NOBODY;
    return group.is_paced() && !is_ready(group) &&
           facts.idle() >= (nobody ? PATIENCE_WITH_NOBODY : PATIENCE);
  });
}

Duration Storage::writing_time() const {
  const Group* slowest = slowest_group();
  return slowest == nullptr ? Duration::zero() : slowest->convergence.expected_hold();
}

std::size_t Storage::slowest() const {
  const Group* slowest = slowest_group();
  return slowest == nullptr ? 0 : slowest->filesystems.front();
}

bool Storage::hopeless() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const Group& group) { return group.convergence.hopeless(); });
}

std::string Storage::describe() const {
  const Group* slowest = slowest_group();
  if (slowest == nullptr) return "";
  const Convergence& facts = slowest->convergence;
  const double hold = std::chrono::duration<double>(facts.expected_hold() + cost_).count();
  char text[64];
  std::snprintf(text, sizeof text, "%.2g s", hold);
  if (hold >= 10) std::snprintf(text, sizeof text, "%.0f s", hold);
  return "writers dirty " + mebibytes(facts.rates().writer_rate()) + ", the disk takes " +
         mebibytes(facts.rates().disk_rate()) + ": freezing would hold them about " + text;
}

bool Storage::can_bound(const Group& group) {
  return !group.bounds.empty() &&
         std::all_of(group.bounds.begin(), group.bounds.end(),
                     [](const DirtyBound& bound) { return bound.wanted(); });
}

bool Storage::can_pace() const {
  return !unable_ && !groups_.empty() &&
         std::all_of(groups_.begin(), groups_.end(),
                     [this](const Group& group) { return is_ready(group) || can_bound(group); });
}

std::vector<Restore> Storage::restores() const {
  std::vector<Restore> all;
  for (const Group& group : groups_) {
    for (const DirtyBound& bound : group.bounds) {
      all.insert(all.end(), bound.restores().begin(), bound.restores().end());
    }
  }
  return all;
}

bool Storage::pace(Time now) {
  pacing_ = true;
  for (Group& group : groups_) begin_pacing(group, now);
  return !unable_;
}

void Storage::begin_pacing(Group& group, Time now) {
  if (is_ready(group) || !can_bound(group)) return;
  group.paced_since = now;
  group.convergence.begin();
  unable_ = !apply(group) || unable_;
}

bool Storage::changed() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return std::any_of(group.bounds.begin(), group.bounds.end(),
                       [](const DirtyBound& bound) { return bound.changed(); });
  });
}

std::string Storage::changed_names() const {
  std::string names;
  for (const Group& group : groups_) {
    for (const DirtyBound& bound : group.bounds) {
      if (!bound.changed()) continue;
      names += (names.empty() ? "" : ", ") + (bound.name().empty() ? "the machine" : bound.name());
    }
  }
  return names;
}

bool Storage::restore(Time now) {
  bool restored = true;
  for (Group& group : groups_) {
    if (group.is_paced()) group.paced += now - std::exchange(group.paced_since, Time{});
    for (DirtyBound& bound : group.bounds) restored = bound.restore() && restored;
  }
  pacing_ = false;
  return restored;
}

std::vector<StorageFigures> Storage::figures(Time now) const {
  std::vector<StorageFigures> all = figures_;
  for (StorageFigures& figures : all) figures.expected_hold += cost_;
  for (const Group& group : groups_) {
    for (const std::size_t index : group.filesystems) {
      all[index].paced = group.paced + (group.is_paced() ? now - group.paced_since : Duration{});
    }
  }
  return all;
}

}  // namespace vmtpy::freeze
