// One client, its commands in order, and one command at a time. It relies on its caller's lock, and
// never waits.
#include "emulator/tclo_queue.h"

namespace vmtpy::emulator {

void TcloQueue::send(std::string command) {
  commands_.push_back(std::move(command));
  wake();
}

void TcloQueue::open(Client client, Wake wake) {
  Wake replaced = std::exchange(wake_, std::move(wake));
  client_ = client;
  ready_ = seen_ = static_cast<bool>(wake_);
  if (replaced) replaced();
  this->wake();
}

void TcloQueue::close(Client client) {
  if (!is_current(client)) return;
  client_ = nullptr;
  wake_ = {};
  ready_ = seen_ = false;
}

const std::string* TcloQueue::next(Client client) const {
  if (!client || !is_current(client) || !ready_ || commands_.empty()) return nullptr;
  return &commands_.front();
}

std::string TcloQueue::take() {
  std::string command = std::move(commands_.front());
  commands_.pop_front();
  ready_ = false;
  return command;
}

void TcloQueue::answered(Client client) {
  if (!is_current(client)) return;
  ready_ = seen_ = true;
  wake();
}

}  // namespace vmtpy::emulator
