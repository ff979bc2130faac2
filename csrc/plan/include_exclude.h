// include and exclude: which superblocks are wanted, whatever they are. Serves plan; the meaning of
// paths and globs is given at PlanRequest.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/filesystem.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

// Why something is left out.
struct Refusal {
  Cause cause = Cause::NONE;
  std::string reason;

  explicit operator bool() const { return cause != Cause::NONE; }
};

class Selection {
 public:
  // Throws PlanError for an include that is no mount point or, if a glob, matches none.
  Selection(const PlanRequest& request, const Mounts& mounts);

  // Why it is not wanted; no cause if it is.
  Refusal refusal(const Superblock& superblock) const;
  // The include that names this superblock by a path written out, "" if none does.
  std::string named(const std::string& superblock) const;

 private:
  void add_include(const std::string& text, const Mounts& mounts);

  bool all_ = true;
  std::set<std::string> included_;
  std::map<std::string, std::string> named_;
  std::vector<std::string> exclude_;
};

}  // namespace vmtpy::plan
