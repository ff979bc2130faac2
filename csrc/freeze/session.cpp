// The owner's side of a freeze session: start, release, abort, watch, and the record. It passes
// each call to the conductor.
#include "freeze/session.h"

#include <unistd.h>

#include <utility>

#include "freeze/conductor.h"

namespace vmtpy::freeze {

FreezeSession::FreezeSession(linux::System& system, Clock& clock,
                             std::vector<plan::Filesystem> filesystems, FreezeOptions options)
    : conductor_(
          std::make_shared<Conductor>(system, clock, std::move(filesystems), std::move(options))),
      process_(getpid()) {
  conductor_->stand_by();
}

FreezeSession::~FreezeSession() {
  if (getpid() != process_) return;  // a fork of the owner has no threads of the session
  conductor_->drop();
  conductor_->abort("the session was dropped");
  conductor_->wait_until_ended();
}

void FreezeSession::start() {
  conductor_->start();
}
void FreezeSession::release() {
  conductor_->release();
}
void FreezeSession::abort(const std::string& reason) {
  conductor_->abort(reason);
}
Phase FreezeSession::phase() const {
  return conductor_->phase();
}
int FreezeSession::event_fd() const {
  return conductor_->event().get();
}
bool FreezeSession::wait_for(Phase phase, Time deadline) {
  return conductor_->wait_for(phase, deadline);
}
void FreezeSession::wait_until_ended() {
  conductor_->wait_until_ended();
}
RunRecord FreezeSession::record() const {
  return conductor_->record();
}

void FreezeSession::clear_event() {
  conductor_->event().drain();
}

}  // namespace vmtpy::freeze
