// Walks through /proc, thread by thread, and compares each sleeping call with the calls that write.
// It relies on /proc/PID/syscall and wchan.
#include "freeze/stuck_writers.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <sstream>

#include "linux/facts.h"
#include "linux/system.h"
#include "linux/threads.h"

namespace vmtpy::freeze {

namespace {

// The calls that write to a file, and which of their arguments is its descriptor.
struct WritingCall {
  long number;
  const char* name;
  int argument;
};
constexpr WritingCall CALLS[] = {
    {SYS_splice, "splice", 2},     {SYS_write, "write", 0},
    {SYS_pwrite64, "pwrite64", 0}, {SYS_writev, "writev", 0},
    {SYS_pwritev, "pwritev", 0},   {SYS_sendfile, "sendfile", 0},
    {SYS_pwritev2, "pwritev2", 0}, {SYS_copy_file_range, "copy_file_range", 2},
};

std::string read(const std::string& path) {
  std::string text;
  return linux::real_system().read_file(path, text) == 0 ? text : "";
}

// Lists what has a number for a name: the processes of /proc, the threads of a process.
std::vector<std::string> list_numbers(const std::string& directory) {
  std::vector<std::string> names = linux::list_directory(directory);
  std::erase_if(names, [](const std::string& name) { return name[0] < '1' || name[0] > '9'; });
  return names;
}

// Parses "275 0x5 0x0 0x4 …": the call in which a thread sleeps, and the file to which it writes.
bool parse_call(const std::string& text, const WritingCall*& call, std::string& descriptor) {
  std::istringstream words(text);
  long number = -1;
  if (!(words >> number)) return false;  // the text is "running"
  const auto found =
      std::find_if(std::begin(CALLS), std::end(CALLS),
                   [number](const WritingCall& known) { return known.number == number; });
  if (found == std::end(CALLS)) return false;
  std::string argument;
  for (int i = 0; i <= found->argument; ++i) words >> argument;
  call = found;
  descriptor = std::to_string(std::strtoll(argument.c_str(), nullptr, 16));
  return true;
}

// Returns the device by the mount and not by stat(), which tells another number for a btrfs
// subvolume.
std::string device_of(const std::string& process, const std::string& descriptor) {
  const auto found = linux::find_number(read(process + "/fdinfo/" + descriptor), "mnt_id:");
  if (!found) return "";
  const std::string id = std::to_string(*found);
  std::istringstream mounts(read(process + "/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string mount, parent, device;
    if ((words >> mount >> parent >> device) && mount == id) return device;
  }
  return "";
}

// Says whether a thread waits because the filesystem is (being) frozen. Such a thread is a victim
// of the freeze.
bool waits_for_thaw(const std::string& thread) {
  return read(thread + "/wchan").find("percpu_rwsem_wait") != std::string::npos;
}

std::optional<StuckWriter> look_at(const std::string& process, const std::string& thread,
                                   const std::vector<plan::Filesystem>& filesystems) {
  const WritingCall* call = nullptr;
  std::string descriptor;
  if (!parse_call(read(thread + "/syscall"), call, descriptor)) return std::nullopt;
  const std::string device = device_of(process, descriptor);
  const bool ours =
      std::any_of(filesystems.begin(), filesystems.end(),
                  [&](const plan::Filesystem& filesystem) { return filesystem.device == device; });
  if (!ours || waits_for_thaw(thread)) return std::nullopt;
  const std::string stat = read(process + "/stat");
  const std::size_t open = stat.find('('), close = stat.rfind(')');
  StuckWriter writer;
  writer.process = std::atoi(stat.c_str());
  if (close != std::string::npos && open < close)
    writer.name = stat.substr(open + 1, close - open - 1);
  writer.call = call->name;
  writer.device = device;
  return writer;
}

}  // namespace

std::vector<StuckWriter> find_stuck_writers(const std::vector<plan::Filesystem>& filesystems,
                                            const std::atomic<bool>& stop) {
  std::vector<StuckWriter> stuck_writers;
  for (const std::string& number : list_numbers("/proc")) {
    if (stop) break;
    const std::string process = "/proc/" + number;
    const std::string threads = process + "/task/";
    for (const std::string& thread : list_numbers(threads)) {
      const auto writer = look_at(process, threads + thread, filesystems);
      if (writer) stuck_writers.push_back(*writer);
    }
  }
  return stuck_writers;
}

void StuckWriterScout::start() {
  auto self = shared_from_this();
  started_ = linux::start_thread("vmtpy-scout", linux::Role::SCOUT, [self] { self->work(); }) == 0;
}

void StuckWriterScout::work() {
  MutexLock lock(mutex_);
  while (order_ != Order::QUIT) {
    if (order_ == Order::LOOK) {
      lock.unlock();
      std::vector<StuckWriter> found;
      try {
        found = find_stuck_writers(filesystems_, stop_);
      } catch (const std::bad_alloc&) {  // nobody is named then
      }
      lock.lock();
      found_ = std::move(found);
      if (order_ == Order::LOOK) order_ = Order::NONE;
      changed_.notify_all();
    } else {
      changed_.wait(lock);
    }
  }
}

void StuckWriterScout::look(Duration patience) {
  const Time deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(mutex_);
  if (!started_) return;
  order_ = Order::LOOK;
  changed_.notify_all();
  while (order_ != Order::NONE) {
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) return;
  }
}

void StuckWriterScout::quit() {
  stop_ = true;
  MutexLock lock(mutex_);
  order_ = Order::QUIT;
  changed_.notify_all();
}

std::vector<StuckWriter> StuckWriterScout::found() const {
  MutexLock lock(mutex_);
  return found_;
}

}  // namespace vmtpy::freeze
