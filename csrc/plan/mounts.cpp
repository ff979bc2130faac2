// Parses mountinfo and groups mounts by superblock. A mount's visibility follows from its parent
// and from the mounts that lie over it.
#include "plan/mounts.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>
#include <unordered_set>

#include "linux/facts.h"
#include "plan/filesystem_type.h"

namespace vmtpy::plan {

namespace {

constexpr std::uint64_t NO_PARENT = std::numeric_limits<std::uint64_t>::max();

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number != NO_PARENT;
}

// A line is "36 35 98:0 /root /point rw,noatime shared:1 master:2 - ext4 /dev/sda1
// rw,errors=continue". Any number of optional fields stands between the sixth field and the hyphen.
// A source may be empty.
bool parse_line(std::string_view line, Mount& mount) {
  const std::vector<std::string_view> fields = linux::split(line, ' ');
  if (fields.size() < 10) return false;
  const auto hyphen = std::find(fields.begin() + 6, fields.end(), "-");
  if (fields.end() - hyphen < 4) return false;
  if (!parse_number(fields[0], mount.id) || !parse_number(fields[1], mount.parent)) return false;
  if (!linux::is_device_number(fields[2]) || fields[4].empty() || fields[4].front() != '/')
    return false;
  mount.device = fields[2];
  mount.root = linux::unescape(fields[3]);
  mount.point = linux::unescape(fields[4]);
  mount.type = linux::unescape(hyphen[1]);
  mount.source = linux::unescape(hyphen[2]);
  mount.super_options = hyphen[3];
  return !mount.type.empty();
}

bool has_server(const Mount& mount) {
  const TypeKind kind = type_kind(mount.type);
  return kind == TypeKind::NETWORK || kind == TypeKind::FUSE;
}

// Puts a directory before any file, because only directories are opened. mountinfo does not tell a
// bind mount of a single file from that of a directory, but the root of a filesystem is always a
// directory.
void put_directory_first(Superblock& superblock, const Mounts::IsFile& is_file) {
  auto& mounts = superblock.mounts;
  const Mount& first = superblock.main();
  if (!is_file || !first.visible || first.root == "/") return;
  const auto directory = std::find_if(mounts.begin(), mounts.end(), [&](const Mount* mount) {
    return mount->visible && (mount->behind_server || !is_file(*mount));
  });
  superblock.file_only = directory == mounts.end();
  if (!superblock.file_only) std::rotate(mounts.begin(), directory, directory + 1);
}

bool better(const Mount* left, const Mount* right) {
  const auto rank = [](const Mount* mount) {
    return std::make_tuple(!mount->visible, mount->behind_server, mount->root != "/",
                           mount->point.size(), std::string_view(mount->point), mount->id);
  };
  return rank(left) < rank(right);
}

}  // namespace

std::string Superblock::option(std::string_view name) const {
  for (const std::string_view option : linux::split(main().super_options, ',')) {
    if (option.size() > name.size() && option.starts_with(name) && option[name.size()] == '=') {
      return linux::unescape(option.substr(name.size() + 1));
    }
  }
  return {};
}

Mounts::Mounts(std::string_view mountinfo, const IsFile& is_file) {
  // Unique ids make the mounts a forest, so every walk ends.
  std::unordered_set<std::uint64_t> known;
  for (const std::string_view line : linux::split(mountinfo, '\n')) {
    if (line.empty()) continue;
    Mount mount;
    if (!parse_line(line, mount)) {
      ++garbage_;
    } else if (known.insert(mount.id).second) {
      mounts_.push_back(std::move(mount));
    }
  }
  for (Mount& mount : mounts_) {
    if (mount.parent == mount.id || !known.contains(mount.parent)) mount.parent = NO_PARENT;
  }
  index();
  group(is_file);
}

void Mounts::index() {
  for (const Mount& mount : mounts_) {
    children_.insert_or_assign(Place(mount.parent, mount.point), &mount);
  }
  for (Mount& mount : mounts_) {
    bool through_server = false;
    mount.visible = walk(mount.point, through_server) == &mount;
    mount.behind_server = mount.visible && through_server;
  }
}

void Mounts::group(const IsFile& is_file) {
  for (const Mount& mount : mounts_) {
    const auto [place, is_new] = by_device_.try_emplace(mount.device, superblocks_.size());
    if (is_new) superblocks_.push_back({mount.device, false, false, {}});
    superblocks_[place->second].mounts.push_back(&mount);
  }
  for (Superblock& superblock : superblocks_) {
    std::sort(superblock.mounts.begin(), superblock.mounts.end(), better);
    put_directory_first(superblock, is_file);
    const auto options = linux::split(superblock.main().super_options, ',');
    superblock.read_only = std::find(options.begin(), options.end(), "ro") != options.end();
  }
}

const Superblock* Mounts::superblock(const std::string& device) const {
  const auto found = by_device_.find(device);
  return found == by_device_.end() ? nullptr : &superblocks_[found->second];
}

const Mount* Mounts::by_id(std::uint64_t id) const {
  const auto found =
      std::find_if(mounts_.begin(), mounts_.end(), [id](const Mount& one) { return one.id == id; });
  return found == mounts_.end() ? nullptr : &*found;
}

// Returns the topmost of the mounts that lie upon each other at one point.
const Mount* Mounts::topmost(const Mount* below, std::string_view point) const {
  for (;;) {
    const auto child = children_.find(Place(below == nullptr ? NO_PARENT : below->id, point));
    if (child == children_.end()) return below;
    below = child->second;
  }
}

const Mount* Mounts::walk(std::string_view path, bool& through_server) const {
  const Mount* mount = topmost(nullptr, "/");
  through_server = false;
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') continue;
    const Mount* next = topmost(mount, path.substr(0, end));
    if (next != mount && mount != nullptr && has_server(*mount)) through_server = true;
    mount = next;
  }
  return mount;
}

const Mount* Mounts::under(std::string_view path) const {
  bool through_server;
  return walk(path, through_server);
}

}  // namespace vmtpy::plan
