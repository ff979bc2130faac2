// Fails where a thread of a session allocates between the first FIFREEZE and the last FITHAW: in
// freezes of two levels with a writer that is paced, with thaws that fail at first, with a volume
// that device-mapper has suspended meanwhile, and with a level that cannot be frozen. A sanitizer
// tells of the allocations.
#include <pthread.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "doubles/intercepting_system.h"
#include "doubles/simulated_disk.h"
#include "freeze/session.h"

using namespace vmtpy;
using namespace std::chrono_literals;

namespace {

std::atomic<bool> frozen = false;
std::atomic<int> allocations = 0;
std::atomic<int> all_allocations = 0;
thread_local bool in_system = false;  // simulated disks allocate

void look_at_allocation() {
  ++all_allocations;
  if (!frozen || in_system) return;
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  const std::string_view thread = name;
  if (thread != "vmtpy-freeze" && thread != "vmtpy-fs") return;
  in_system = true;
  ++allocations;
  std::fprintf(stderr, "%s allocates\n", name);
  __sanitizer_print_stack_trace();
  in_system = false;
}

const std::string SUSPENDED = "/sys/dev/block/253:1/dm/suspended";

// Owned by a World; all threads of its session call it.
class WatchedSystem final : public doubles::InterceptingSystem {
 public:
  using InterceptingSystem::InterceptingSystem;
  std::atomic<int> failing_thaws = 0;
  std::atomic<bool> suspends = false;  // from the first freeze on
  std::atomic<int> looks = 0;          // at what is suspended

  int read_file(const std::string& path, std::string& text) override {
    if (path != SUSPENDED || !frozen || !suspends) return InterceptingSystem::read_file(path, text);
    ++looks;
    text = "1\n";
    return 0;
  }

 private:
  int before(Call call) override {
    if (call == THAW && failing_thaws > 0) return --failing_thaws, -EIO;
    if (call == FREEZE) frozen = true;
    in_system = true;
    return 0;
  }
  void after(Call call, int result) override {
    in_system = false;
    if (call == FREEZE && result == 0) ++count_;
    if (call == THAW && result == 0 && --count_ == 0) frozen = false;
  }
  std::atomic<int> count_ = 0;
};

struct World {
  SteadyClock clock;
  doubles::SimulatedDisk disk{{"/", "/home", "/srv"}};
  WatchedSystem system{disk};
  std::unique_ptr<freeze::FreezeSession> session;

  World() {
    disk.put_storage("/srv", 64e6, 100e6, 50e6);
    std::vector<plan::Filesystem> filesystems = disk.filesystems();
    filesystems[0].level = 1;
    filesystems[1].mapped = {"253:1"};
    freeze::FreezeOptions options;
    options.guardian = false;
    options.timeout = options.filesystem_timeout = 300s;
    session = std::make_unique<freeze::FreezeSession>(system, clock, filesystems, options);
    session->start();
  }
  template <typename Condition>
  bool await(Condition condition) {
    const Time deadline = clock.now() + 300s;
    while (!condition() && clock.now() < deadline) {
      disk.pass(5ms);
      std::this_thread::sleep_for(5ms);
    }
    return condition();
  }
  bool reaches(freeze::Phase phase) {
    return await([&] { return session->phase() >= phase; });
  }
  bool ends(freeze::Outcome outcome) {
    return reaches(freeze::Phase::ENDED) && session->record().outcome == outcome && !frozen;
  }
};

bool releases() {
  World world;
  if (!world.reaches(freeze::Phase::FROZEN)) return false;
  world.system.failing_thaws = 2;
  world.session->release();
  if (!world.ends(freeze::Outcome::RELEASED)) return false;
  return world.session->record().filesystems[2].paced > Duration::zero();
}

bool waits_for_a_volume() {
  World world;
  world.system.suspends = true;
  world.disk.refuse_freeze("/home", EBUSY);
  if (!world.await([&] { return world.system.looks > 2; })) return false;
  world.disk.refuse_freeze("/home", 0);
  world.system.suspends = false;
  if (!world.reaches(freeze::Phase::FROZEN)) return false;
  world.session->abort("enough");
  return world.ends(freeze::Outcome::ABORTED);
}

bool gives_up() {
  World world;
  world.disk.refuse_freeze("/", EBUSY);
  return world.ends(freeze::Outcome::FAILED);
}

}  // namespace

// ThreadSanitizer calls it after each allocation.
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t) {
  look_at_allocation();
}

int main() {
  if (!releases()) return std::puts("no release"), 1;
  if (!waits_for_a_volume()) return std::puts("no wait for a volume"), 1;
  if (!gives_up()) return std::puts("no end of a freeze that fails"), 1;
  std::printf("%d allocations, %d of them while something was frozen\n", all_allocations.load(),
              allocations.load());
  return all_allocations > 0 && allocations == 0 ? 0 : 1;
}
