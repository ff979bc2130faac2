// Passes each call to the Tracer, and leaves it alone in a fork, where its thread does not exist.
// It keeps ptrace out of the header.
#include "emulator/ptrace/trap.h"

#include <unistd.h>

#include "emulator/ptrace/tracer.h"

namespace vmtpy::emulator {

TrapHost::TrapHost(std::shared_ptr<Device> device, std::vector<std::string> command,
                   TrapHostOptions options)
    : tracer_(std::make_unique<Tracer>(std::move(device), std::move(command), std::move(options))),
      process_(getpid()) {}

TrapHost::~TrapHost() {
  if (getpid() != process_) (void)tracer_.release();
}

void TrapHost::start() {
  tracer_->start();
}
bool TrapHost::wait(Time deadline) {
  return tracer_->wait(Tracer::ALL_ENDED, deadline);
}
bool TrapHost::wait_program(Time deadline) {
  return tracer_->wait(Tracer::PROGRAM_ENDED, deadline);
}
int TrapHost::wait_status() const {
  return tracer_->wait_status();
}
int TrapHost::process() const {
  return tracer_->process();
}
void TrapHost::signal(int number) {
  tracer_->signal(number);
}
bool TrapHost::stun(Time deadline) {
  return tracer_->stun(deadline);
}
void TrapHost::resume() {
  tracer_->resume();
}
CpuidMethod TrapHost::cpuid_answered() const {
  return tracer_->cpuid_answered();
}

}  // namespace vmtpy::emulator
