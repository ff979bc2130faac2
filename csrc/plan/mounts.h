// The text of /proc/self/mountinfo as mounts, and the mounts as superblocks, which are the unit of
// freezing. This serves plan and stack. The result depends only on the text, which may be anything,
// and on what IsFile says. Lines that are no mounts are counted and dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace vmtpy::plan {

struct Mount {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::string device;  // "major:minor" of the superblock
  std::string root;  // which part of the filesystem is mounted: "/", a subvolume, a bound directory
  std::string point;
  std::string type;
  std::string source;
  std::string super_options;  // still escaped: a comma inside a value is "\054"
  bool visible = false;       // false if another mount lies over it or over the way to it
  // The way to it leads through a network or FUSE filesystem, whose server may not answer.
  bool behind_server = false;
};

struct Superblock {
  std::string device;
  bool read_only = false;  // the superblock is read-only; a read-only bind mount does not count
  bool file_only = false;  // only single files of it are mounted here
  std::vector<const Mount*> mounts;  // never empty; the best one to open comes first

  const Mount& main() const { return *mounts.front(); }
  bool visible() const { return mounts.front()->visible; }
  // Returns "/var/up" for "upperdir", "" if there is no such option.
  std::string option(std::string_view name) const;
};

// Owned by the planner, the freezer or the rescue that makes it, and constant once it is made,
// so any number of threads may read it. The pointers that it gives are good as long as it lives.
class Mounts {
 public:
  // Says whether a single file is mounted there (containers bind /etc/hosts), which mountinfo does
  // not tell. It is only asked about visible mounts behind no server, and only where no whole
  // filesystem is mounted that could be opened instead.
  using IsFile = std::function<bool(const Mount& mount)>;
  explicit Mounts(std::string_view mountinfo, const IsFile& is_file = {});
  Mounts(const Mounts&) = delete;
  Mounts& operator=(const Mounts&) = delete;

  const std::vector<Mount>& all() const { return mounts_; }
  const std::vector<Superblock>& superblocks() const { return superblocks_; }
  const Superblock* superblock(const std::string& device) const;  // nullptr if not mounted here
  const Mount* by_id(std::uint64_t id) const;                     // nullptr if there is none
  // Returns the mount that a process would reach by this path. The path is compared as text:
  // nothing is looked up on disk, and no symbolic link is followed. Returns nullptr when nothing is
  // mounted even at /.
  const Mount* under(std::string_view path) const;
  // The number of lines that could not be understood.
  std::size_t garbage() const { return garbage_; }

 private:
  const Mount* topmost(const Mount* below, std::string_view point) const;
  const Mount* walk(std::string_view path, bool& through_server) const;
  void index();
  void group(const IsFile& is_file);

  std::vector<Mount> mounts_;
  std::vector<Superblock> superblocks_;
  std::unordered_map<std::string_view, std::size_t> by_device_;
  using Place = std::pair<std::uint64_t, std::string_view>;  // the parent's id and the mount point
  struct PlaceHash {
    std::size_t operator()(const Place& place) const {
      return std::hash<std::string_view>()(place.second) ^ (place.first * 0x9E3779B97F4A7C15u);
    }
  };

  // Mounts whose parent is not listed (the root; in a chroot whatever is outermost) have the parent
  // NO_PARENT.
  std::unordered_map<Place, const Mount*, PlaceHash> children_;
  std::size_t garbage_ = 0;
};

}  // namespace vmtpy::plan
