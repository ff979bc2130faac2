// Reads /proc/self/cgroup and names the files of the root groups, for both versions of control
// groups.
#include "linux/cgroups.h"

#include <sstream>

namespace vmtpy::linux {

std::vector<std::string> root_groups(System& system) {
  std::vector<std::string> files;
  std::string text;
  if (system.read_file("/proc/self/cgroup", text) != 0) return files;
  std::istringstream lines(text);
  std::string number, controllers, path;
  // The path is the last field, because it may hold a colon.
  while (std::getline(lines, number, ':') && std::getline(lines, controllers, ':') &&
         std::getline(lines, path)) {
    if (path == "/") continue;
    if (controllers.empty()) {  // version 2, which may also be mounted beside version 1
      files.insert(files.end(),
                   {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"});
    } else if (("," + controllers + ",").find(",freezer,") != std::string::npos) {
      files.emplace_back("/sys/fs/cgroup/freezer/tasks");
    }
  }
  return files;
}

}  // namespace vmtpy::linux
