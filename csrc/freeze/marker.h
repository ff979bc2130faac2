// The third line of defence: a file that says what a session freezes, from before its first
// FIFREEZE until after its last FITHAW. When session and guardian have both died,
// thaw_from_markers() thaws by it (`vmtpy thaw`, each start of the agent, the service manager). A
// marker whose writer crashed unseen counts too: its boot and process tell whether it still means
// anything.
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
  std::string boot;  // as read_boot_id() reads it
  pid_t process = 0;
  std::uint64_t process_start = 0;  // clock ticks after boot, field 22 of /proc/PID/stat
  std::string rcu;                  // the value to put back; "" if it is not touched
  std::vector<Restore> bounds;      // bounds on dirty pages, in the order of putting them back
  struct Entry {
    std::string device;  // "major:minor"
    std::string path;
    std::string type;
  };
  std::vector<Entry> filesystems;  // in the order of freezing
};

std::string format_marker(const Marker& marker);
// Returns false, with the reason in `error`, if the text is no marker.
bool parse_marker(const std::string& text, Marker& marker, std::string& error);

// A marker that is not written yet. The guardian has to know its file before that, so that it can
// remove the file whenever the session dies.
struct PreparedMarker {
  std::string path;  // "" if there can be none
  std::string text;
};

// Composes this process's next marker for these filesystems, in run_directory. Returns 0 or -errno.
int prepare_marker(linux::System& system, const std::string& run_directory,
                   const std::vector<plan::Filesystem>& filesystems, const std::string& rcu,
                   const std::vector<Restore>& bounds, PreparedMarker& prepared);
// Writes the marker, and makes run_directory if it is missing. Returns 0 or -errno.
int write_marker(linux::System& system, const std::string& run_directory,
                 const PreparedMarker& prepared);

inline constexpr const char* BOOT_ID = "/proc/sys/kernel/random/boot_id";
int read_boot_id(linux::System& system, std::string& boot);  // returns 0 or -errno
// Reads state and start time from /proc/PROCESS/stat ("self" or a number). Returns false if that
// fails.
bool read_process(linux::System& system, const std::string& process, char& state,
                  std::uint64_t& start);

}  // namespace vmtpy::freeze
