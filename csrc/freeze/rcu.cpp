// Reads and writes the switch through System, so that tests can play the kernel. It makes three
// attempts to put the switch back.
#include "freeze/rcu.h"

#include <cstdlib>
#include <string>

namespace vmtpy::freeze {

namespace {

constexpr int TRIES = 3;

}  // namespace

bool RcuSwitch::look() {
  std::string normal;
  const bool overruled =
      system_.read_file("/sys/kernel/rcu_normal", normal) == 0 && normal != "0\n";
  std::string text;
  wanted_ = !overruled && system_.read_file(path_, text) == 0 && std::atoi(text.c_str()) == 0;
  return wanted_;
}

bool RcuSwitch::set() {
  changed_ = wanted_ && system_.write_file(path_, "1") == 0;
  return changed_;
}

bool RcuSwitch::restore() {
  for (int attempt = 0; changed_ && attempt < TRIES; ++attempt) {
    if (system_.write_file(path_, OFF) == 0) changed_ = false;
  }
  return !changed_;
}

}  // namespace vmtpy::freeze
