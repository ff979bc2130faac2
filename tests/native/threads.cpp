// Runs the core without Python and with all its threads under load, for ThreadSanitizer: the
// agent's loop, the sessions' conductors and their threads, a host that starts, aborts and forgets,
// callers of RPCI, writers on the simulated disk, and a thread that plays Python. `threads BACKUPS
// [vsock]` can also have a host that listens on vsock and breaks its connections.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "base/errors.h"
#include "doubles/simulated_disk.h"
#include "doubles/unix_dialer.h"
#include "emulator/emulated_backdoor.h"
#include "emulator/vsock/vsock_service.h"

using namespace vmtpy;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> PATHS = {"/", "/home", "/srv", "/var"};

struct World {
  SteadyClock clock;
  std::shared_ptr<emulator::Device> device = std::make_shared<emulator::Device>(clock);
  emulator::EmulatedBackdoor backdoor{device};
  const std::string base = "@vmtpy-threads-" + std::to_string(::getpid());
  doubles::UnixDialer dialer{base};
  std::unique_ptr<emulator::VsockService> vsock;
  doubles::SimulatedDisk disk{PATHS};
  const std::shared_ptr<wire::Transports> transports;
  agent::Agent agent{transports, clock, options()};
  wire::Rpci rpci{transports};
  std::atomic<bool> over = false;
  std::atomic<int> ended = 0;
  std::atomic<int> released = 0;
  std::atomic<std::uint64_t> writes = 0;
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> vsock_calls = 0;

  explicit World(bool with_vsock)
      : vsock(with_vsock ? std::make_unique<emulator::VsockService>(device, base) : nullptr),
        transports(with_vsock
                       ? std::make_shared<wire::Transports>(backdoor, dialer, clock, transport())
                       : std::make_shared<wire::Transports>(backdoor)) {}

  static wire::TransportOptions transport() {
    wire::TransportOptions options;
    options.rest_min = 1ms;
    options.rest_max = 5ms;
    return options;
  }

  static agent::AgentOptions options() {
    agent::AgentOptions options;
    options.host.announce = {"log hello"};
    options.host.poll_min = 1ms;
    options.host.poll_max = 2ms;
    options.host.retry_min = 1ms;
    options.host.retry_max = 2ms;
    return options;
  }
};

void arm(World& world) {
  freeze::FreezeOptions options;
  options.guardian = false;
  options.expedite_rcu = false;
  world.agent.arm(std::make_shared<freeze::FreezeSession>(world.disk, world.clock,
                                                          world.disk.filesystems(), options));
}

void play_python(World& world) {
  int turn = 0;
  for (;;) {
    const std::optional<agent::AgentEvent> event = world.agent.events().take();
    if (!event) {
      std::this_thread::sleep_for(200us);
      continue;
    }
    using Kind = agent::AgentEvent::Kind;
    if (event->kind == Kind::STOPPED) return;
    if (event->kind == Kind::COMMAND) world.agent.answer(event->id, "OK ");
    if (event->kind == Kind::START) {
      if (++turn % 7 == 0) {
        world.agent.refuse(agent::BackupCode::SCRIPT, "no");
      } else if (turn % 5 == 0) {
        world.agent.skip(1s);
      } else {
        arm(world);
      }
    }
    if (event->kind == Kind::ENDED) {
      world.released += event->record.outcome == freeze::Outcome::RELEASED;
      world.agent.finish();
      ++world.ended;
    }
  }
}

void play_host(World& world, int backups) {
  world.device->wait_for_tools(world.clock.now() + 10s);
  const Time deadline = world.clock.now() + 300s;
  for (int turn = 0; world.ended < backups && world.clock.now() < deadline; ++turn) {
    const int before = world.ended;
    world.device->send_command("vmbackup.start 1");
    world.device->send_command("Set_Option broadcastIP 1");
    if (turn % 6 == 5) world.device->lose_channels();
    if (world.vsock && turn % 3 == 2) world.vsock->drop_connections();
    if (turn % 4 == 3) world.device->send_command("vmbackup.abort");
    const Time begun = world.clock.now();
    while (world.ended == before && world.clock.now() - begun < 500ms) {
      world.device->take_transcript(world.clock.now() + 1ms);
      if (world.agent.backup_state() == agent::BackupState::FROZEN ||
          world.agent.backup_state() == agent::BackupState::UNFROZEN) {
        world.device->send_command("vmbackup.snapshotDone");
      }
    }
  }
}

void call(World& world) {
  while (!world.over) {
    try {
      world.rpci.call("info-get guestinfo.x");
      ++world.calls;
      world.vsock_calls += world.rpci.over_vsock();
      if (world.calls % 50 == 0) world.rpci.close();
    } catch (const Error&) {  // the host has just forgotten the channel, twice
    }
    std::this_thread::sleep_for(100us);
  }
}

void write(World& world, const std::string& path) {
  while (!world.over) {
    world.disk.write(path);
    ++world.writes;
    std::this_thread::sleep_for(100us);
  }
}

}  // namespace

int main(int count, char** words) {
  const int backups = count > 1 ? std::atoi(words[1]) : 100;
  const bool vsock = count > 2 && words[2] == std::string("vsock");
  World world(vsock);
  world.agent.start();
  std::thread python([&] { play_python(world); });
  std::vector<std::thread> load;
  for (int i = 0; i < 2; ++i) load.emplace_back([&] { call(world); });
  for (const std::string& path : PATHS) load.emplace_back([&] { write(world, path); });
  play_host(world, backups);
  world.agent.request_stop();
  python.join();
  world.over = true;
  for (std::thread& thread : load) thread.join();
  for (const std::string& path : PATHS) {
    if (world.disk.frozen(path)) return std::puts("something is still frozen"), 1;
  }
  std::printf("%d backups, %d released, %llu writes, %llu calls, %llu over vsock\n",
              world.ended.load(), world.released.load(),
              static_cast<unsigned long long>(world.writes),
              static_cast<unsigned long long>(world.calls),
              static_cast<unsigned long long>(world.vsock_calls));
  const bool all_ways = (world.vsock_calls > 0) == vsock;
  return world.ended >= backups && world.released > 0 && all_ways ? 0 : 1;
}
