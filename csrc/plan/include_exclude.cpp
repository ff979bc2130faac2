// Compares the configured paths and globs with mount points, by text and fnmatch(3). It relies on
// Mounts, and follows no link.
#include "plan/include_exclude.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/errors.h"
#include "linux/facts.h"

namespace vmtpy::plan {

namespace {

bool is_glob(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

bool matches(const std::string& glob, const std::string& path) {
  return fnmatch(glob.c_str(), path.c_str(), 0) == 0;
}

// Returns why one of the excludes leaves a superblock out, or a refusal without a cause.
Refusal excluded_by(const std::string& text, const Superblock& superblock) {
  const std::string& main = superblock.main().point;
  const std::string path = linux::normal_path(text);
  const auto is_there = [&](const Mount* mount) { return mount->visible && mount->point == path; };
  const auto& mounts = superblock.mounts;
  if (matches(text, main) || path == main)
    return {Cause::EXCLUDED, "excluded by exclude = " + text};
  if (text.starts_with('/') && std::any_of(mounts.begin(), mounts.end(), is_there)) {
    return {Cause::EXCLUDED, "excluded by exclude = " + text + ", which is the same filesystem"};
  }
  return {};
}

}  // namespace

Selection::Selection(const PlanRequest& request, const Mounts& mounts)
    : all_(request.include.empty()), exclude_(request.exclude) {
  for (const std::string& text : request.include) add_include(text, mounts);
}

void Selection::add_include(const std::string& text, const Mounts& mounts) {
  const bool absolute = text.starts_with('/');
  const std::string path = linux::normal_path(text);
  const Mount* mount = absolute ? mounts.under(path) : nullptr;
  if (mount != nullptr && mount->point == path) {
    included_.insert(mount->device);
    named_.emplace(mount->device, path);
    return;
  }
  if (is_glob(text)) {
    bool found = false;
    for (const Mount& candidate : mounts.all()) {
      if (!candidate.visible || !matches(text, candidate.point)) continue;
      included_.insert(candidate.device);
      found = true;
    }
    if (!found) throw PlanError("include " + text + ": it matches no mount point");
  } else if (!absolute) {
    throw PlanError("include " + text + ": it is not an absolute path");
  } else if (mount == nullptr) {
    throw PlanError("include " + text + ": nothing is mounted there");
  } else {
    throw PlanError(
        "include " + text + ": it is not a mount point; it lies on " + mount->point + " (" +
        mount->type + " on " + mount->source +
        "). Only whole filesystems can be frozen: name a mount point, as `vmtpy plan` lists them");
  }
}

Refusal Selection::refusal(const Superblock& superblock) const {
  for (const std::string& text : exclude_) {
    if (Refusal excluded = excluded_by(text, superblock)) return excluded;
  }
  if (all_ || included_.contains(superblock.device)) return {};
  return {Cause::NOT_INCLUDED, "not included"};
}

std::vector<std::string> Selection::idle_excludes(const Mounts& mounts) const {
  std::vector<std::string> idle;
  for (const std::string& text : exclude_) {
    const auto is_excluded = [&](const Superblock& superblock) {
      return static_cast<bool>(excluded_by(text, superblock));
    };
    const std::vector<Superblock>& all = mounts.superblocks();
    if (std::none_of(all.begin(), all.end(), is_excluded)) idle.push_back(text);
  }
  return idle;
}

std::string Selection::named(const std::string& superblock) const {
  const auto found = named_.find(superblock);
  return found == named_.end() ? std::string() : found->second;
}

}  // namespace vmtpy::plan
