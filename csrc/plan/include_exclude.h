// `include` and `exclude`: which superblocks are wanted, whatever their type. This serves the plan.
// The comment at PlanRequest gives the meaning of paths and globs.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/filesystem.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

// The cause and the words for leaving a filesystem out.
struct Refusal {
  Cause cause = Cause::NONE;
  std::string reason;

  explicit operator bool() const { return cause != Cause::NONE; }
};

// Owned by the planner, used by its thread, and as long-lived as the planner.
class Selection {
 public:
  // Throws PlanError for an include that is no mount point, and for a glob that matches none.
  Selection(const PlanRequest& request, const Mounts& mounts);

  // Returns why a superblock is not wanted, or a refusal without a cause if it is wanted.
  Refusal refusal(const Superblock& superblock) const;
  // Returns the excludes that match no superblock, whatever its type.
  std::vector<std::string> idle_excludes(const Mounts& mounts) const;
  // Returns the include that names this superblock by its path, "" if none does.
  std::string named(const std::string& superblock) const;

 private:
  void add_include(const std::string& text, const Mounts& mounts);

  bool all_ = true;
  std::set<std::string> included_;
  std::map<std::string, std::string> named_;
  std::vector<std::string> exclude_;
};

}  // namespace vmtpy::plan
