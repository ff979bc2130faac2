// Judges each superblock: by its type, whether it can be reached, include and exclude, and what it
// stands on. Relies on Mounts, Stack, Selection and Volumes for the facts.
#include "plan/plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/errors.h"
#include "linux/facts.h"
#include "linux/mount_id.h"
#include "linux/system.h"
#include "plan/block_stack.h"
#include "plan/filesystem_type.h"
#include "plan/freeze_order.h"
#include "plan/host_volumes.h"
#include "plan/include_exclude.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

namespace {

std::string read_mountinfo(const std::string& path) {
  std::string text;
  if (const int error = linux::read_mountinfo(linux::real_system(), text, path)) {
    throw SystemError("read", path, -error);
  }
  return text;
}

bool is_local_file(const std::string& root, const Mount& mount) {
  const TypeKind kind = type_kind(mount.type);
  if (kind != TypeKind::FREEZES && kind != TypeKind::SYNCS) return false;
  struct stat status {};
  return stat((root + mount.point).c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

// Lives in one call of make_plan(), in the thread that calls it.
class Planner {
 public:
  // The unique ids are read before mountinfo, so that a mount replaced in between fails later.
  Planner(const PlanRequest& request, const PlanSources& sources)
      : sources_(sources),
        unique_ids_(sources.mountinfo == PlanSources().mountinfo ? linux::unique_mount_ids()
                                                                 : decltype(unique_ids_)()),
        mounts_(read_mountinfo(sources.mountinfo),
                [&](const Mount& mount) { return is_local_file(sources.root, mount); }),
        stack_(sources, mounts_),
        selection_(request, mounts_),
        volumes_(request.volumes, sources, mounts_) {}

  Plan make();

 private:
  void judge(const Superblock& superblock);
  Refusal refusal(const Superblock& superblock);
  Refusal refusal_by_type(const Superblock& superblock);
  Refusal refusal_by_footing(const Superblock& superblock);
  bool loses_writes(const Superblock& superblock, Cause cause);
  bool is_missed(const Superblock& superblock, Cause cause);
  std::string layered_on(const Superblock& superblock);
  void add(const Superblock& superblock);
  bool is_disk(const std::string& device) const;
  void refuse_mere_sync() const;
  void note_garbage();
  void note_idle_excludes();
  void note_swaps();
  void note_swap(const std::string& name, const std::set<std::string>& carriers);

  const PlanSources& sources_;
  const std::unordered_map<std::uint64_t, std::uint64_t> unique_ids_;
  Mounts mounts_;
  Stack stack_;
  Selection selection_;
  Volumes volumes_;
  Plan plan_;
};

Plan Planner::make() {
  for (const Superblock& superblock : mounts_.superblocks()) judge(superblock);
  refuse_mere_sync();
  put_in_order(plan_.filesystems, stack_);
  std::sort(plan_.left_out.begin(), plan_.left_out.end(),
            [](const LeftOut& left, const LeftOut& right) { return left.path < right.path; });
  plan_.unmatched = volumes_.unmatched();
  note_garbage();
  note_idle_excludes();
  note_swaps();
  return std::move(plan_);
}

void Planner::judge(const Superblock& superblock) {
  const Mount& main = superblock.main();
  const auto leave_out = [&](const Refusal& refused) {
    plan_.left_out.push_back({main.point, superblock.device, main.type, refused.cause,
                              refused.reason, loses_writes(superblock, refused.cause)});
  };
  const Footing below = volumes_.named_any() ? stack_.foundation(superblock.device) : Footing();
  const bool on_volumes = !volumes_.named_any() || volumes_.hold(superblock.device, below.devices);
  const Refusal refused = refusal(superblock);
  const std::string named = selection_.named(superblock.device);
  if (refused && !named.empty()) {
    throw PlanError("include " + named + ": it cannot be frozen: " + refused.reason);
  }
  // A filesystem whose disks are not known may lie on a requested volume, as ZFS or an image on it.
  const bool disks_known =
      !below.devices.empty() && below.carriers.empty() && below.unknown.empty();
  const bool elsewhere = !on_volumes && disks_known;
  if (refused && !(elsewhere && is_missed(superblock, refused.cause))) {
    leave_out(refused);
  } else if (!on_volumes) {
    leave_out({Cause::NOT_REQUESTED, "not on the requested volumes"});
  } else {
    add(superblock);
  }
}

Refusal Planner::refusal(const Superblock& superblock) {
  Refusal refused = refusal_by_type(superblock);
  // What the user left out on purpose is not missed, even if it could not be frozen anyway.
  if (superblock.visible() && loses_writes(superblock, refused.cause)) {
    if (Refusal unwanted = selection_.refusal(superblock)) refused = std::move(unwanted);
  }
  if (!refused && !superblock.visible()) {
    const Mount* over = mounts_.under(superblock.main().point);
    refused = {Cause::UNREACHABLE,
               over == nullptr ? "cannot be reached" : "hidden by a mount over " + over->point};
  }
  if (!refused && superblock.file_only) {
    refused = {Cause::UNREACHABLE, "only single files of it are mounted here"};
  }
  if (!refused) refused = refusal_by_footing(superblock);
  return refused;
}

Refusal Planner::refusal_by_type(const Superblock& superblock) {
  const std::string& type = superblock.main().type;
  const TypeKind kind = type_kind(type);
  if (kind == TypeKind::PSEUDO) return {Cause::PSEUDO, "pseudo filesystem"};
  if (kind == TypeKind::MEMORY) return {Cause::MEMORY, "in memory"};
  if (kind == TypeKind::NETWORK) return {Cause::NETWORK, "network filesystem"};
  if (kind == TypeKind::FUSE) return {Cause::FUSE, "FUSE filesystem"};
  if (kind == TypeKind::LAYERED) return {Cause::LAYERED, layered_on(superblock)};
  if (superblock.read_only) return {Cause::READ_ONLY, "read-only"};
  if (kind == TypeKind::OTHER) return {Cause::UNSUPPORTED, type + " cannot be frozen"};
  return {};
}

bool Planner::loses_writes(const Superblock& superblock, Cause cause) {
  if (superblock.read_only || cause == Cause::PSEUDO || cause == Cause::MEMORY) return false;
  return cause != Cause::LAYERED || stack_.footing(superblock.device).carriers.empty();
}

// It can lose writes, and the user did not leave it out on purpose.
bool Planner::is_missed(const Superblock& superblock, Cause cause) {
  return cause != Cause::EXCLUDED && cause != Cause::NOT_INCLUDED &&
         loses_writes(superblock, cause);
}

std::string Planner::layered_on(const Superblock& superblock) {
  std::string places;
  for (const std::string& device : stack_.footing(superblock.device).carriers) {
    if (const Superblock* carrier = mounts_.superblock(device)) {
      places += (places.empty() ? "" : ", ") + carrier->main().point;
    }
  }
  const std::string where = places.empty() ? "other filesystems" : places;
  return superblock.main().type + " cannot be frozen: its files lie on " + where;
}

Refusal Planner::refusal_by_footing(const Superblock& superblock) {
  const Footing below = stack_.foundation(superblock.device);
  if (below.devices.empty() && below.ring.empty()) {
    return {Cause::UNREACHABLE, "no block device: " + below.unknown};
  }
  if (!below.network.empty()) {
    return {Cause::NETWORK, "on the network block device " + below.network};
  }
  for (const std::string& device : below.carriers) {
    const Superblock* carrier = mounts_.superblock(device);
    if (carrier == nullptr) continue;
    const TypeKind kind = type_kind(carrier->main().type);
    const std::string& place = carrier->main().point;
    if (kind == TypeKind::NETWORK) {
      return {Cause::NETWORK, "its image lies on the network filesystem " + place};
    }
    if (kind == TypeKind::FUSE) {
      return {Cause::FUSE, "its image lies on the FUSE filesystem " + place};
    }
  }
  return {};
}

void Planner::add(const Superblock& superblock) {
  const Mount& main = superblock.main();
  Filesystem filesystem;
  filesystem.path = main.point;
  filesystem.mount_id = main.id;
  if (const auto found = unique_ids_.find(main.id); found != unique_ids_.end()) {
    filesystem.unique_id = found->second;
  }
  filesystem.device = superblock.device;
  filesystem.type = main.type;
  filesystem.source = main.source;
  filesystem.behind_server = main.behind_server;
  filesystem.sync_only = type_kind(main.type) == TypeKind::SYNCS;
  for (const Mount* mount : superblock.mounts) {
    if (mount != &main && mount->visible) filesystem.also.push_back(mount->point);
  }
  const Footing below = stack_.foundation(superblock.device);
  const std::set<std::string> sinks = stack_.sinks(superblock.device);
  filesystem.bdis.assign(below.bdis.begin(), below.bdis.end());
  filesystem.sinks.assign(sinks.begin(), sinks.end());
  for (const std::string& device : below.devices) {
    if (linux::exists(sources_.sys + "/dev/block/" + device + "/dm"))
      filesystem.mapped.push_back(device);
    if (is_disk(device)) filesystem.disks.push_back(device);
  }
  plan_.filesystems.push_back(std::move(filesystem));
}

bool Planner::is_disk(const std::string& device) const {
  const std::string directory = sources_.sys + "/dev/block/" + device;
  return !linux::exists(directory + "/partition") && !linux::exists(directory + "/loop") &&
         linux::list_directory(directory + "/slaves").empty();
}

// A filesystem that was named to have it frozen must not end in a plan that only syncs.
void Planner::refuse_mere_sync() const {
  for (const Filesystem& filesystem : plan_.filesystems) {
    if (!filesystem.sync_only) return;
  }
  for (const Filesystem& filesystem : plan_.filesystems) {
    const std::string named = selection_.named(filesystem.device);
    if (named.empty()) continue;
    throw PlanError("include " + named + ": it cannot be frozen: " + filesystem.type +
                    " can only be synced, and nothing else is to be frozen");
  }
}

void Planner::note_garbage() {
  if (mounts_.garbage() == 0) return;
  plan_.notes.push_back(std::to_string(mounts_.garbage()) + " lines of " + sources_.mountinfo +
                        " were not understood");
}

void Planner::note_idle_excludes() {
  for (const std::string& text : selection_.idle_excludes(mounts_)) {
    plan_.notes.push_back("exclude " + text +
                          " leaves nothing out: it matches none of the mount points that "
                          "`vmtpy plan --all` lists");
  }
}

// A swap file on a frozen filesystem works, because swap is written below the filesystem. But
// through a loop image it is written into the filesystem that holds the image.
void Planner::note_swaps() {
  std::string text;
  if (!linux::read_whole(sources_.swaps, text)) return;
  for (const std::string_view line : linux::split(text, '\n')) {
    const std::string name = linux::unescape(line.substr(0, line.find_first_of(" \t")));
    if (!name.starts_with('/')) continue;  // the heading line
    const std::string device = stack_.device_number(name);
    if (!device.empty()) {
      note_swap(name, stack_.foundation_of_device(name).carriers);
    } else if (const Mount* mount = mounts_.under(name)) {
      note_swap(name, stack_.foundation(mount->device).carriers);
    }
  }
}

void Planner::note_swap(const std::string& name, const std::set<std::string>& carriers) {
  for (const Filesystem& filesystem : plan_.filesystems) {
    if (filesystem.sync_only || !carriers.contains(filesystem.device)) continue;
    plan_.notes.push_back("swap on " + name + " is written into an image on " + filesystem.path +
                          ": swapping out waits while that is frozen");
  }
}

}  // namespace

Plan make_plan(const PlanRequest& request, const PlanSources& sources) {
  return Planner(request, sources).make();
}

}  // namespace vmtpy::plan
