// Any commands of the host, one a line, to a whole agent: its loop is turned by hand, Python's part
// is played by single bytes. Whatever the host says, each command is answered and the agent ends.
#include <chrono>
#include <memory>

#include "agent/agent.h"
#include "fuzz.h"
#include "emulator/emulated_backdoor.h"
#include "doubles/manual_clock.h"
#include "doubles/simulated_disk.h"

using namespace vmtpy;

namespace {

constexpr int MOST_TURNS = 400;
constexpr int MOST_SECONDS = 60;  // that a busy machine may take

class Guest {
 public:
  explicit Guest(FuzzedDataProvider& input)
      : input_(input),
        device_(std::make_shared<emulator::Device>(clock_)),
        backdoor_(device_),
        disk_({"/srv"}),
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
    // By the agent's clock it may be late while the session's threads have had no processor yet.
    for (int turn = 0; turn < MOST_SECONDS && disk_.frozen("/srv"); ++turn) {
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

  // The session's own threads need real time; one that was never started does not come to it.
  void await(freeze::Phase phase) {
    if (!session_ || session_->phase() == freeze::Phase::NEW) return;
    session_->wait_for(phase, std::chrono::steady_clock::now() + std::chrono::seconds(1));
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
        return;  // stuck
      default:
        return agent_.skip(std::chrono::seconds(30));
    }
  }

  void arm() {
    freeze::FreezeOptions options;
    options.guardian = false;
    options.expedite_rcu = false;
    session_ = std::make_shared<freeze::FreezeSession>(disk_, clock_, disk_.filesystems(), options);
    agent_.arm(session_);
    turn_loop({});
    await(freeze::Phase::FROZEN);
  }

  FuzzedDataProvider& input_;
  doubles::ManualClock clock_;
  std::shared_ptr<emulator::Device> device_;
  emulator::EmulatedBackdoor backdoor_;
  doubles::SimulatedDisk disk_;
  std::shared_ptr<freeze::FreezeSession> session_;
  agent::Agent agent_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return -1;
  FuzzedDataProvider input(data, size);
  Guest(input).live();
  return 0;
}
