// The third line of defence: a file that says what a session freezes, from before its first
// FIFREEZE until after its last FITHAW. When session and guardian have both died,
// thaw_from_markers() thaws by it (`vmtpy thaw`, each start of the agent, the service manager). It
// also counts after a crash that nobody saw: the marker's boot and process decide whether it still
// means anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "freeze/bdi.h"
#include "linux/system.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

struct Marker {
  std::string boot;  // /proc/sys/kernel/random/boot_id
  pid_t process = 0;
  std::uint64_t process_start = 0;  // clock ticks after boot, field 22 of /proc/PID/stat
  std::string rcu;                  // value to restore; "" if it is not touched
  std::vector<Restore> bounds;      // on dirty pages, in the order of putting them back
  struct Entry {
    std::string device;  // "major:minor"
    std::string path;
    std::string type;  // "" in a marker of version 0.1.0
  };
  std::vector<Entry> filesystems;  // in the order of freezing
};

std::string format_marker(const Marker& marker);
// False, with what is wrong in `error`, if the text is not a marker.
bool parse_marker(const std::string& text, Marker& marker, std::string& error);

// A marker that is not written yet. The guardian has to know its file before, so as to remove it
// whenever the session dies.
struct PreparedMarker {
  std::string path;  // "" if there can be none
  std::string text;
};

// This process's next marker for these filesystems, in run_directory. 0 or -errno.
int prepare_marker(linux::System& system, const std::string& run_directory,
                   const std::vector<plan::Filesystem>& filesystems, const std::string& rcu,
                   const std::vector<Restore>& bounds, PreparedMarker& prepared);
// Makes run_directory, too, if it is not there. 0 or -errno.
int write_marker(linux::System& system, const std::string& run_directory,
                 const PreparedMarker& prepared);

// State and start time from /proc/PROCESS/stat ("self" or a number); false if it cannot be read.
bool read_process(linux::System& system, const std::string& process, char& state,
                  std::uint64_t& start);

}  // namespace vmtpy::freeze
