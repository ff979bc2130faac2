// The core on arm64, where the backdoor is another instruction: `arm64 probe` asks who is there,
// `arm64 talk` holds whole conversations with a host that answers the instruction from outside
// (tests/support/arm64.py). Each failed check is a line and an exit code of 1.
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/backdoor.h"
#include "core/hardware.h"
#include "core/probe.h"
#include "core/rpci.h"
#include "core/tclo.h"

using namespace vmtpy;

namespace {

#define CHECK(CONDITION) \
  if (!(CONDITION)) throw std::runtime_error(#CONDITION)

// Every byte differs from its neighbours, and from what a word in the wrong order would give.
std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + (i >> 8) * 13 + 1);
  return text;
}

void talk_hardware(Backdoor& backdoor) {
  const Probe found = probe(backdoor);
  CHECK(found.presence == Presence::VMWARE);
  CHECK(found.version == 6);
  const Hardware hardware = read_hardware(backdoor);
  CHECK(hardware.uuid == "564d5668-6f73-7420-656d-756c61746564");
  CHECK(hardware.memory_mib.value_or(0) > 0);
  CHECK(read_host_time(backdoor).has_value());
}

void talk_rpci(Backdoor& backdoor, bool high_bandwidth) {
  Rpci rpci(backdoor, {.high_bandwidth = high_bandwidth});
  for (std::size_t size : {1, 2, 3, 4, 5, 6, 7, 1000, 60000}) {
    if (size > 10 && !high_bandwidth) break;
    CHECK(rpci.call("info-set guestinfo.x " + pattern(size)).ok);
    const RpciReply reply = rpci.call("info-get guestinfo.x");
    CHECK(reply.ok);
    CHECK(reply.data == pattern(size));
  }
  CHECK(!rpci.call("info-get guestinfo.nothing").ok);
}

// The host's commands come back to it, until it says "end".
void talk_tclo(Backdoor& backdoor) {
  Tclo tclo(backdoor);
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

void talk() {
  PortBackdoor backdoor;
  talk_hardware(backdoor);
  talk_rpci(backdoor, true);
  talk_rpci(backdoor, false);
  talk_tclo(backdoor);
  std::puts("all is said");
}

}  // namespace

int main(int count, char** words) {
  const std::string wanted = count == 2 ? words[1] : "";
  try {
    if (wanted == "probe") {
      const Probe found = probe_ports();
      std::printf("%d %s\n", static_cast<int>(found.presence), found.reason.c_str());
    } else if (wanted == "talk") {
      talk();
    } else {
      return std::fputs("usage: arm64 probe|talk\n", stderr), 2;
    }
  } catch (const std::exception& error) {
    return std::printf("failed: %s\n", error.what()), 1;
  }
  return 0;
}
