// What the drivers on arm64 say to a host, over any backdoor. It serves arm64.cpp and
// arm64_machine.cpp.
#pragma once

#include <stdexcept>
#include <string>

#include "wire/hardware.h"
#include "wire/probe.h"
#include "wire/rpci.h"
#include "wire/tclo.h"

#define CHECK(CONDITION) \
  if (!(CONDITION)) throw std::runtime_error(#CONDITION)

namespace vmtpy {

// Every byte differs from its neighbours, and from the byte that a word in the wrong order would
// give.
inline std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + (i >> 8) * 13 + 1);
  return text;
}

inline void talk_hardware(wire::Backdoor& backdoor) {
  const wire::Probe found = wire::probe(backdoor);
  CHECK(found.presence == wire::Presence::VMWARE);
  CHECK(found.version == 6);
  const wire::Hardware hardware = wire::read_hardware(backdoor);
  CHECK(hardware.uuid == "564d5668-6f73-7420-656d-756c61746564");
  CHECK(hardware.memory_mib.value_or(0) > 0);
  CHECK(read_host_time(backdoor).has_value());
}

inline void talk_rpci(wire::Backdoor& backdoor) {
  wire::Rpci rpci(backdoor);
  for (std::size_t size : {1, 2, 3, 4, 5, 6, 7, 301, 5003}) {
    CHECK(rpci.call("info-set guestinfo.x " + pattern(size)).ok);
    const wire::RpciReply reply = rpci.call("info-get guestinfo.x");
    CHECK(reply.ok);
    CHECK(reply.data == pattern(size));
  }
  CHECK(!rpci.call("info-get guestinfo.nothing").ok);
}

// Sends the host's commands back to it, until it says "end".
inline void talk_tclo(wire::Backdoor& backdoor) {
  wire::Tclo tclo(backdoor);
  for (int polls = 0; polls < 100; ++polls) {
    const std::optional<std::string> command = tclo.poll();
    if (!command) continue;
    tclo.answer("OK " + *command);
    if (*command != "end") continue;
    tclo.close();
    return;
  }
  CHECK(!"the host said end");
}

inline void talk(wire::Backdoor& backdoor) {
  talk_hardware(backdoor);
  talk_rpci(backdoor);
  talk_tclo(backdoor);
}

}  // namespace vmtpy
