// Matches the host's disk UUIDs with /dev/disk/by-id and sysfs, and its paths with mounts. It
// relies on Stack for device numbers.
#include "plan/host_volumes.h"

#include <algorithm>
#include <map>

#include "linux/facts.h"

namespace vmtpy::plan {

namespace {

using Disks = std::multimap<std::string, std::string>;  // by normal UUID: "major:minor"

// Returns the UUID in an identifier. Names in by-id are "wwn-0x6000c29…", "scsi-36000c29…" (3 says
// that the identifier is an NAA) and "nvme-eui.000c29…"; sysfs has "naa.6000c29…", "eui.000c29…"
// and "uuid.…". Any other identifier is none of the host's.
std::string uuid_of(std::string_view identifier) {
  for (const std::string_view prefix :
       {"wwn-0x", "scsi-3", "nvme-eui.", "nvme-uuid.", "naa.", "eui.", "uuid.", "0x"}) {
    if (identifier.starts_with(prefix)) return normal_uuid(identifier.substr(prefix.size()));
  }
  return {};
}

Disks disks_here(const PlanSources& sources, const Mounts& mounts) {
  Disks disks;
  const auto add = [&](const std::string& identifier, const std::string& device) {
    const std::string uuid = uuid_of(identifier);
    if (!uuid.empty() && !device.empty()) disks.emplace(uuid, device);
  };
  const Stack stack(sources, mounts);
  // The link of a partition ends in "-part1", as no UUID of a host does.
  for (const std::string& name : linux::list_directory(sources.dev + "/disk/by-id")) {
    add(name, stack.device_number("/dev/disk/by-id/" + name));
  }
  for (const std::string& name : linux::list_directory(sources.sys + "/block")) {
    const std::string directory = sources.sys + "/block/" + name;
    const std::string device = linux::read_line(directory + "/dev");
    add(linux::read_line(directory + "/device/wwid"), device);  // SCSI
    add(linux::read_line(directory + "/wwid"), device);         // NVMe
  }
  return disks;
}

}  // namespace

std::string normal_uuid(std::string_view text) {
  std::string normal;
  for (const char c : text) {
    if (c == ' ' || c == '-' || c == '\t' || c == '\r') continue;
    normal += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return normal;
}

Volumes::Volumes(const std::vector<std::string>& names, const PlanSources& sources,
                 const Mounts& mounts) {
  const auto is_uuid = [](const std::string& name) { return !name.starts_with('/'); };
  Disks disks;
  if (std::any_of(names.begin(), names.end(), is_uuid)) disks = disks_here(sources, mounts);
  for (const std::string& text : names) {
    Name name{text, {}, {}, false};
    if (is_uuid(text)) {
      const auto [first, last] = disks.equal_range(normal_uuid(text));
      for (auto disk = first; disk != last; ++disk) name.disks.insert(disk->second);
    } else if (const Mount* mount = mounts.under(linux::normal_path(text))) {
      name.superblock = mount->device;
    }
    names_.push_back(std::move(name));
  }
}

bool Volumes::hold(const std::string& superblock, const std::set<std::string>& devices) {
  bool held = false;
  for (Name& name : names_) {
    const bool here = name.superblock == superblock ||
                      std::any_of(name.disks.begin(), name.disks.end(),
                                  [&](const auto& disk) { return devices.contains(disk); });
    name.matched |= here;
    held |= here;
  }
  return held;
}

std::vector<std::string> Volumes::unmatched() const {
  std::vector<std::string> texts;
  for (const Name& name : names_) {
    if (!name.matched) texts.push_back(name.text);
  }
  return texts;
}

}  // namespace vmtpy::plan
