// Sends any commands of the host to a whole agent, one a line. The loop is turned by hand, and
// single bytes play Python's part. Whatever the host says, each command is answered and the agent
// ends.
#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "doubles/manual_clock.h"
#include "doubles/simulated_disk.h"
#include "emulator/emulated_backdoor.h"
#include "fuzz.h"

using namespace vmtpy;

namespace {

constexpr int MOST_TURNS = 400;
constexpr std::size_t KEPT = 64;

// The objects that threads of a session may use after it has ended. A real machine is there for
// ever; these are kept for the last runs.
struct World {
  doubles::ManualClock clock;
  doubles::SimulatedDisk disk{{"/srv"}};
};

World& make_world() {
  static std::deque<std::unique_ptr<World>> worlds;
  worlds.push_back(std::make_unique<World>());
  if (worlds.size() > KEPT) worlds.pop_front();
  return *worlds.back();
}

// One agent with its host and disk. It lives in one run of the target.
class Guest {
 public:
  explicit Guest(FuzzedDataProvider& input)
      : input_(input),
        device_(std::make_shared<emulator::Device>(clock_)),
        backdoor_(device_),
        agent_(backdoor_, clock_, options()) {}

  void live() {
    for (int turn = 0; turn < MOST_TURNS && input_.remaining_bytes() > 0; ++turn) {
      device_->send_command(input_.ConsumeRandomLengthString());
      if (input_.ConsumeIntegralInRange(0, 31) == 0) device_->lose_channels();
      turn_loop(std::chrono::milliseconds(input_.ConsumeIntegralInRange(0, 3000)));
      if (input_.ConsumeBool()) play_python();
    }
    agent_.request_stop();
    for (int turn = 0; agent_.step() != Time::max(); ++turn) {
      check(turn < MOST_TURNS, "an agent that is told to stop does so");
      clock_.advance(std::chrono::seconds(1));
      await(freeze::Phase::ENDED);
    }
    // By the agent's clock the stop may be late while a thread of the session is only about to
    // freeze. That thread thaws at once what it has frozen, in real time.
    const Time patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (disk_.frozen("/srv") && std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      clock_.advance(std::chrono::seconds(1));
      await(freeze::Phase::ENDED);
    }
    check(!disk_.frozen("/srv"), "nothing stays frozen");
  }

 private:
  static agent::AgentOptions options() {
    agent::AgentOptions options;
    options.host.announce = {"log hello"};
    return options;
  }

  // Waits in real time for the sessions' own threads. A session that was never started does not get
  // there. An earlier session may also be at work still, because what Python arms too late is
  // refused.
  void await(freeze::Phase phase) {
    for (const auto& session : sessions_) {
      if (session->phase() == freeze::Phase::NEW) continue;
      session->wait_for(phase, std::chrono::steady_clock::now() + std::chrono::seconds(1));
    }
  }

  void turn_loop(Duration later) {
    clock_.advance(later);
    agent_.step();
    for (const emulator::TranscriptEntry& entry : device_->take_transcript(Time{})) {
      if (entry.kind != emulator::MessageKind::TCLO_REPLY) continue;
      check(entry.request.starts_with("OK ") || entry.request.starts_with("ERROR "),
            "an answer is OK or ERROR");
    }
  }

  void play_python() {
    while (const std::optional<agent::AgentEvent> event = agent_.events().take()) {
      if (event->kind == agent::AgentEvent::Kind::COMMAND) agent_.answer(event->id, "OK ");
      if (event->kind == agent::AgentEvent::Kind::ENDED) agent_.finish();
      if (event->kind == agent::AgentEvent::Kind::START) prepare();
    }
  }

  void prepare() {
    switch (input_.ConsumeIntegralInRange(0, 7)) {
      case 0:
        return arm();
      case 1:
        return agent_.refuse(agent::BackupCode::SCRIPT, "no");
      case 2:
        return;  // Python is stuck
      default:
        return agent_.skip(std::chrono::seconds(30));
    }
  }

  void arm() {
    freeze::FreezeOptions options;
    options.guardian = false;
    options.expedite_rcu = false;
    sessions_.push_back(
        std::make_shared<freeze::FreezeSession>(disk_, clock_, disk_.filesystems(), options));
    agent_.arm(sessions_.back());
    turn_loop({});
    await(freeze::Phase::FROZEN);
  }

  FuzzedDataProvider& input_;
  World& world_ = make_world();
  doubles::ManualClock& clock_ = world_.clock;
  doubles::SimulatedDisk& disk_ = world_.disk;
  std::shared_ptr<emulator::Device> device_;
  emulator::EmulatedBackdoor backdoor_;
  std::vector<std::shared_ptr<freeze::FreezeSession>> sessions_;
  agent::Agent agent_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return -1;
  FuzzedDataProvider input(data, size);
  Guest(input).live();
  return 0;
}
