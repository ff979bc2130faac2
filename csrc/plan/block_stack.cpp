// Walks down from a superblock: through sysfs for block devices, through loop devices to their
// images, and through mount options for overlays and for xfs's and btrfs's other devices.
#include "plan/block_stack.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/unique_fd.h"
#include "linux/facts.h"
#include "plan/filesystem_type.h"

namespace vmtpy::plan {

namespace {

constexpr std::size_t DEEPEST = 64;  // real stacks have fewer than ten layers
constexpr std::string_view DELETED = " (deleted)";

void set_once(std::string& text, const std::string& value) {
  if (text.empty()) text = value;
}

bool is_anonymous(const std::string& device) {
  return device.starts_with("0:");
}

// Returns the device of the filesystem that holds a loop device's image, as the kernel tells it, or
// "" without the right to ask. Unlike the path this is also right for images that are deleted,
// hidden or in another mount namespace.
std::string image_device(const std::string& loop_path) {
  const UniqueFd loop(open(loop_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!loop) return {};
  loop_info64 info{};
  if (ioctl(loop.get(), LOOP_GET_STATUS64, &info) != 0) return {};
  // This is the kernel's huge_encode_dev(): minor bits 0–7, major bits 8–19, minor bits 20–31.
  const std::uint64_t device = info.lo_device;
  return std::to_string((device >> 8) & 0xfff) + ":" +
         std::to_string((device & 0xff) | ((device >> 12) & 0xfff00));
}

// For these types stat() tells another device than mountinfo, so image_device() does not help.
bool has_private_device(const Mount& mount) {
  return mount.type == "btrfs" || mount.type == "bcachefs" ||
         type_kind(mount.type) == TypeKind::LAYERED;
}

std::string network_device(std::string_view link) {
  const std::string_view name = linux::base_name(link);
  const bool remote = name.starts_with("nbd") || name.starts_with("rbd") ||
                      link.find("/session") != std::string_view::npos ||  // iSCSI
                      link.find("/nvme-fabrics/") != std::string_view::npos;
  return remote ? std::string(name) : std::string();
}

// Splits "/a:/b\:c" into "/a" and "/b:c". Overlay escapes colons in lowerdir this way.
std::vector<std::string> split_layers(const std::string& text) {
  std::vector<std::string> layers(1);
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      layers.back() += text[++at];
    } else if (text[at] == ':') {
      layers.emplace_back();
    } else {
      layers.back() += text[at];
    }
  }
  return layers;
}

}  // namespace

Stack::Stack(const PlanSources& sources, const Mounts& mounts)
    : sources_(sources), mounts_(mounts) {}

const Footing& Stack::footing(const std::string& superblock) {
  const auto known = footings_.find(superblock);
  if (known != footings_.end()) return known->second;
  return footings_.emplace(superblock, inspect(superblock)).first->second;
}

Footing Stack::foundation(const std::string& superblock) {
  return with_carriers(footing(superblock));
}

Footing Stack::foundation_of_device(const std::string& path) {
  Footing footing;
  add_source(path, footing);
  return with_carriers(std::move(footing));
}

Footing Stack::with_carriers(Footing whole) {
  std::vector<std::string> open(whole.carriers.begin(), whole.carriers.end());
  while (!open.empty()) {
    const Footing& next = footing(open.back());
    open.pop_back();
    whole.devices.insert(next.devices.begin(), next.devices.end());
    whole.bdis.insert(next.bdis.begin(), next.bdis.end());
    set_once(whole.network, next.network);
    set_once(whole.unknown, next.unknown);
    set_once(whole.ring, next.ring);
    for (const std::string& carrier : next.carriers) {
      if (whole.carriers.insert(carrier).second) open.push_back(carrier);
    }
  }
  return whole;
}

Footing Stack::inspect(const std::string& device) {
  Footing footing;
  Trail trail;
  const Superblock* superblock = mounts_.superblock(device);
  if (!is_anonymous(device)) descend(device, footing, trail);
  if (superblock == nullptr) {
    if (is_anonymous(device)) footing.unknown = "the filesystem " + device + " is not mounted here";
    return footing;
  }
  const std::string& type = superblock->main().type;
  if (type == "btrfs") {
    add_btrfs(*superblock, footing);
  } else if (type == "bcachefs") {
    for (const auto source : linux::split(superblock->main().source, ':')) {
      add_source(std::string(source), footing);
    }
  } else if (type == "xfs") {
    for (const char* name : {"logdev", "rtdev"}) {
      const std::string path = superblock->option(name);
      if (!path.empty()) add_source(path, footing);
    }
  } else if (type_kind(type) == TypeKind::LAYERED) {
    add_layers(*superblock, footing);
  }
  return footing;
}

// mountinfo names one device of a btrfs; sysfs names all of them. A source that cannot be found
// ("/dev/root" of a kernel without initramfs) is that of the only btrfs, if there is only one.
void Stack::add_btrfs(const Superblock& superblock, Footing& footing) {
  const std::string source = device_number(superblock.main().source);
  std::vector<std::vector<std::string>> pools;
  std::vector<std::string> bdis;  // the bdi of each pool
  for (const std::string& uuid : linux::list_directory(sources_.sys + "/fs/btrfs")) {
    const std::string directory = sources_.sys + "/fs/btrfs/" + uuid + "/devices";
    std::vector<std::string> devices;
    for (const std::string& name : linux::list_directory(directory)) {
      devices.push_back(linux::read_line(directory + "/" + name + "/dev"));
    }
    if (devices.empty()) continue;
    pools.push_back(std::move(devices));
    bdis.emplace_back(
        linux::base_name(linux::read_link(sources_.sys + "/fs/btrfs/" + uuid + "/bdi")));
  }
  std::vector<std::string> devices;
  for (std::size_t at = 0; at < pools.size(); ++at) {
    const auto& pool = pools[at];
    const bool ours = std::find(pool.begin(), pool.end(), source) != pool.end();
    if (!ours && (!source.empty() || pools.size() > 1)) continue;
    devices = pool;
    if (is_bdi(bdis[at])) footing.bdis.insert(bdis[at]);
  }
  if (devices.empty() && !source.empty()) devices = {source};
  if (devices.empty())
    footing.unknown = "the devices of " + superblock.main().source + " are not known";
  for (const std::string& device : devices) {
    Trail trail;
    descend(device, footing, trail);
  }
}

bool Stack::is_bdi(const std::string& name) const {
  return !name.empty() && linux::exists(sources_.sys + "/class/bdi/" + name);
}

// Data written to an image are written again to the filesystem that holds it, and only there do
// they leave memory.
std::set<std::string> Stack::sinks(const std::string& superblock) {
  std::set<std::string> below;
  std::set<std::string> seen = {superblock};
  std::vector<std::string> open = {superblock};
  while (!open.empty()) {
    const std::string device = open.back();
    open.pop_back();
    const Footing& footing = this->footing(device);
    std::size_t carried = 0;
    for (const std::string& carrier : footing.carriers) {
      const Footing& next = this->footing(carrier);
      if (next.devices.empty() && next.carriers.empty()) continue;  // the carrier is in memory
      ++carried;
      if (seen.insert(carrier).second) open.push_back(carrier);
    }
    if (carried > 0) continue;
    if (!is_anonymous(device)) {
      below.insert(device);
    } else {
      std::copy_if(footing.bdis.begin(), footing.bdis.end(), std::inserter(below, below.end()),
                   [](const std::string& name) { return name.find(':') == std::string::npos; });
    }
  }
  return below;
}

void Stack::add_layers(const Superblock& superblock, Footing& footing) {
  if (superblock.main().type == "ecryptfs") {
    add_layer(superblock, superblock.main().source, footing);
    return;
  }
  add_layer(superblock, superblock.option("upperdir"), footing);
  // Files in a lower directory are only read, so a directory that cannot be found matters little.
  for (const std::string& lower : split_layers(superblock.option("lowerdir"))) {
    const Mount* mount =
        lower.starts_with('/') ? mounts_.under(linux::normal_path(lower)) : nullptr;
    if (mount != nullptr && mount->device != superblock.device)
      footing.carriers.insert(mount->device);
  }
}

// The paths in a container's overlay are the host's. Seen from inside the container they lie on
// that same overlay.
void Stack::add_layer(const Superblock& superblock, const std::string& directory,
                      Footing& footing) {
  if (directory.empty()) return;
  const Mount* mount =
      directory.front() == '/' ? mounts_.under(linux::normal_path(directory)) : nullptr;
  if (mount != nullptr && mount->device != superblock.device) {
    footing.carriers.insert(mount->device);
  } else {
    set_once(footing.unknown, "the directory " + directory + " below the " +
                                  superblock.main().type + " at " + superblock.main().point +
                                  " was not found here");
  }
}

void Stack::add_source(const std::string& path, Footing& footing) {
  const std::string device = device_number(path);
  Trail trail;
  if (device.empty()) {
    set_once(footing.unknown, path + " is not a block device known here");
  } else {
    descend(device, footing, trail);
  }
}

void Stack::descend(const std::string& device, Footing& footing, Trail& trail) {
  const std::string directory = sources_.sys + "/dev/block/" + device;
  const std::string link = linux::read_link(directory);
  if (link.empty()) {
    set_once(footing.unknown, "the block device " + device + " is not in " + sources_.sys);
    return;
  }
  const std::string name(linux::base_name(link));
  trail.push_back(name);
  if (const auto first = std::find(trail.begin(), trail.end(), name); first + 1 != trail.end()) {
    std::string ring = *first;
    for (auto next = first + 1; next != trail.end(); ++next) ring += " → " + *next;
    set_once(footing.ring, ring);
  } else if (trail.size() > DEEPEST) {
    set_once(footing.unknown, "the devices below " + trail.front() + " are stacked too deep");
  } else if (footing.devices.insert(device).second) {
    set_once(footing.network, network_device(link));
    if (is_bdi(device)) footing.bdis.insert(device);
    if (linux::exists(directory + "/partition")) {
      descend(linux::read_line(directory + "/../dev"), footing, trail);
    }
    for (const std::string& slave : linux::list_directory(directory + "/slaves")) {
      descend(linux::read_line(directory + "/slaves/" + slave + "/dev"), footing, trail);
    }
    if (name.starts_with("loop")) {
      add_image(name, linux::read_line(directory + "/loop/backing_file"), footing, trail);
    } else if (name.starts_with("zram")) {
      const std::string backing = device_number(linux::read_line(directory + "/backing_dev"));
      if (!backing.empty()) descend(backing, footing, trail);
    }
  }
  trail.pop_back();
}

// A loop device stands on a file or on another block device. The path is the one given to losetup,
// as whoever called it saw it.
void Stack::add_image(const std::string& loop, const std::string& file, Footing& footing,
                      Trail& trail) {
  // Partitions of a loop device have no image of their own, nor has one that is being detached.
  if (file.empty()) return;
  if (const std::string device = device_number(file); !device.empty()) {
    descend(device, footing, trail);
    return;
  }
  const bool deleted = file.ends_with(DELETED);
  const std::string path = deleted ? file.substr(0, file.size() - DELETED.size()) : file;
  const std::string carrier =
      image_superblock(loop, mounts_.under(linux::normal_path(path)), deleted);
  if (!carrier.empty()) {
    footing.carriers.insert(carrier);
  } else {
    set_once(footing.unknown, "the filesystem that holds " + file + ", the image of " + loop +
                                  ", cannot be found" + (geteuid() == 0 ? "" : " without root"));
  }
}

std::string Stack::image_superblock(const std::string& loop, const Mount* by_path,
                                    bool deleted) const {
  const TypeKind kind = by_path == nullptr ? TypeKind::OTHER : type_kind(by_path->type);
  // The kernel answers the question by a stat of the image, which may hang for a remote one.
  if (kind == TypeKind::NETWORK || kind == TypeKind::FUSE) return by_path->device;
  std::string asked = image_device(sources_.dev + "/" + loop);
  if (!asked.empty()) {
    if (!is_anonymous(asked) || mounts_.superblock(asked) != nullptr) return asked;
    return by_path != nullptr && has_private_device(*by_path) ? by_path->device : std::string();
  }
  return by_path == nullptr || deleted ? std::string() : by_path->device;
}

// Names in /dev may be links (/dev/mapper/x → ../dm-0). Their target is looked up by name in sysfs,
// where an exclamation mark stands for a slash. Without udev the nodes in /dev/mapper are no links.
std::string Stack::device_number(const std::string& path) const {
  std::string name = linux::normal_path(path);
  if (!path.starts_with("/dev/") || name.size() <= 5) return {};
  for (int links = 0; links < 8; ++links) {
    const std::string target = linux::read_link(sources_.dev + name.substr(4));
    if (target.empty()) break;
    const bool absolute = target.front() == '/';
    name = linux::normal_path(absolute ? target : name.substr(0, name.rfind('/')) + "/" + target);
    if (!name.starts_with("/dev/")) return {};
  }
  name.erase(0, 5);
  if (name.starts_with("mapper/")) {
    for (const std::string& block : linux::list_directory(sources_.sys + "/block")) {
      const std::string directory = sources_.sys + "/block/" + block;
      if (block.starts_with("dm-") && linux::read_line(directory + "/dm/name") == name.substr(7)) {
        return linux::read_line(directory + "/dev");
      }
    }
  }
  std::replace(name.begin(), name.end(), '/', '!');
  return linux::read_line(sources_.sys + "/class/block/" + name + "/dev");
}

}  // namespace vmtpy::plan
