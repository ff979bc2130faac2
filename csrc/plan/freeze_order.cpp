// Levels by Kahn's algorithm over "stands on". It relies on Stack for what each filesystem stands
// on, and refuses what it cannot order.
#include "plan/freeze_order.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "base/errors.h"

namespace vmtpy::plan {

namespace {

using ByDevice = std::map<std::string, Filesystem*>;
using Dependents = std::map<std::string, std::vector<std::string>>;  // carrier → what stands on it

std::string titled(const Filesystem& filesystem) {
  return filesystem.path + " (" + filesystem.type + " on " + filesystem.source + ")";
}

// Returns the planned filesystems that are met first on the way down.
std::vector<std::string> nearest_carriers(const std::string& from, const ByDevice& planned,
                                          Stack& stack) {
  std::set<std::string> seen, found;
  std::vector<std::string> open{from};
  while (!open.empty()) {
    const std::string device = open.back();
    open.pop_back();
    for (const std::string& carrier : stack.footing(device).carriers) {
      if (planned.contains(carrier)) {
        found.insert(carrier);
      } else if (seen.insert(carrier).second) {
        open.push_back(carrier);
      }
    }
  }
  return {found.begin(), found.end()};
}

void refuse_unknown(const Filesystem& filesystem, const std::vector<Filesystem>& all,
                    Stack& stack) {
  const Footing below = stack.foundation(filesystem.device);
  if (!below.ring.empty()) {
    throw PlanError(titled(filesystem) + ": the devices below stand on each other: " + below.ring +
                    "; exclude " + filesystem.path);
  }
  const bool order_matters = std::any_of(all.begin(), all.end(), [&](const Filesystem& other) {
    return other.device != filesystem.device && !other.sync_only;
  });
  if (!below.unknown.empty() && order_matters) {
    throw PlanError(titled(filesystem) + ": " + below.unknown +
                    ", so the order of freezing is not known; exclude " + filesystem.path);
  }
}

// Each filesystem that Kahn's algorithm leaves over stands below another one that is left over. So
// the way up from any of them meets one of them twice.
[[noreturn]] void refuse_ring(const ByDevice& planned, const Dependents& dependents,
                              const std::map<std::string, std::size_t>& waiting) {
  const auto is_left = [&](const std::string& device) { return waiting.at(device) > 0; };
  std::vector<std::string> way;
  for (const auto& [device, count] : waiting) {
    if (count > 0 && way.empty()) way.push_back(device);
  }
  while (std::count(way.begin(), way.end(), way.back()) < 2) {
    const auto& above = dependents.at(way.back());
    way.push_back(*std::find_if(above.begin(), above.end(), is_left));
  }
  way.erase(way.begin(), std::find(way.begin(), way.end(), way.back()));
  std::reverse(way.begin(), way.end());
  std::string ring = titled(*planned.at(way.front()));
  for (std::size_t at = 1; at < way.size(); ++at) {
    ring += (at == 1 ? " stands on " : ", which stands on ") + planned.at(way[at])->path;
  }
  ring += ": no order of freezing is safe; exclude one of them";
  throw PlanError(ring);
}

}  // namespace

void put_in_order(std::vector<Filesystem>& filesystems, Stack& stack) {
  ByDevice planned;
  Dependents dependents;
  std::map<std::string, std::size_t> waiting;  // how many dependents without a level each waits for
  for (Filesystem& filesystem : filesystems) {
    refuse_unknown(filesystem, filesystems, stack);
    planned.emplace(filesystem.device, &filesystem);
    waiting.emplace(filesystem.device, 0);
  }
  for (Filesystem& filesystem : filesystems) {
    filesystem.stands_on = nearest_carriers(filesystem.device, planned, stack);
    for (const std::string& carrier : filesystem.stands_on) {
      dependents[carrier].push_back(filesystem.device);
      ++waiting[carrier];
    }
  }
  std::vector<const Filesystem*> ready;
  for (const Filesystem& filesystem : filesystems) {
    if (waiting[filesystem.device] == 0) ready.push_back(&filesystem);
  }
  for (std::size_t at = 0; at < ready.size(); ++at) {
    for (const std::string& device : ready[at]->stands_on) {
      Filesystem* carrier = planned.at(device);
      carrier->level = std::max(carrier->level, ready[at]->level + 1);
      if (--waiting[device] == 0) ready.push_back(carrier);
    }
  }
  if (ready.size() < filesystems.size()) refuse_ring(planned, dependents, waiting);
  std::sort(filesystems.begin(), filesystems.end(), [](const auto& left, const auto& right) {
    return std::tie(left.level, left.path) < std::tie(right.level, right.path);
  });
}

}  // namespace vmtpy::plan
