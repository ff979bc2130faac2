// vmtpy-rpctool stands in for vmware-rpctool in programs that call it several times in a row, such
// as cloud-init. It has the same arguments, outputs and exit codes. It is a native program because
// an interpreter's start costs ten times as much as the request. It relies on the same wire as the
// agent.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/errors.h"
#include "wire/backdoor_way.h"
#include "wire/dialer.h"
#include "wire/meter.h"
#include "wire/probe.h"
#include "wire/rpci.h"
#include "wire/transports.h"

namespace vmtpy::programs {
namespace {

constexpr int GRANTED = 0;
constexpr int REFUSED = 1;  // also where there was no request or no conversation
constexpr int NOT_VMWARE = 255;

constexpr std::string_view USAGE =
    "rpctool syntax:\n\n"
    "  -h | --help\tprint usage.\n"
    "  rpctool <text>\tsend <text> as an RPC command.";

// Writes a line. Returns false if it could not be written.
bool say(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fputc('\n', stream);
  return std::fflush(stream) == 0 && std::ferror(stream) == 0;
}

void complain(std::string_view text) {
  say(stderr, "vmtpy-rpctool: " + std::string(text));
}

int answer(const wire::RpciReply& reply) {
  if (reply.ok) {
    if (!say(stdout, reply.data)) throw SystemError("output", "", errno);
    return GRANTED;
  }
  say(stderr, reply.data);
  if (reply.data.starts_with("Permission denied") ||
      reply.data.starts_with("Guest is not privileged")) {
    complain("`vmtpy rpc` with the same text says what to do about it");
  }
  return REFUSED;
}

// Sends one request. As for each program that asks little, the backdoor comes first. Where there is
// none, the host may listen on vsock. Outside of VMware another host may listen there, so vsock is
// not tried.
int request(std::string_view text) {
  const wire::Probe probe = wire::probe_machine();
  const bool vmware = probe.presence == wire::Presence::VMWARE;
  if (!vmware && probe.cpu.hypervisor != "VMwareVMware") {
    complain(probe.reason);
    complain(
        "run this inside a VMware virtual machine, or under `vmtpy emulate -- COMMAND`; "
        "`vmtpy probe` says more");
    return NOT_VMWARE;
  }
  std::unique_ptr<wire::Backdoor> backdoor = std::make_unique<wire::AbsentBackdoor>();
  if (vmware) backdoor = wire::make_backdoor(probe.way, probe.cpu);
  wire::MeteredBackdoor metered(*backdoor);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
  if (const char* recorder = std::getenv(wire::RECORDER_VARIABLE)) {
    try {
      metered.record_to(recorder);
    } catch (const SystemError&) {  // the recorder has ended before this program
    }
  }
  wire::VsockDialer dialer;
  SteadyClock clock;
  wire::Rpci rpci(std::make_shared<wire::Transports>(
      metered, dialer, clock, wire::TransportOptions{.preference = wire::Preference::SPARE}));
  return answer(rpci.call(text, true));
}

}  // namespace

// Only the first argument counts, whatever it looks like.
int rpctool(int count, char** arguments) {
  const std::optional<std::string_view> text =
      count > 1 ? std::optional<std::string_view>(arguments[1]) : std::nullopt;
  if (!text || *text == "-h" || *text == "--help") {
    say(stderr, USAGE);
    return text ? GRANTED : REFUSED;
  }
  try {
    return request(*text);
  } catch (const std::exception& error) {
    complain(error.what());
    return REFUSED;
  }
}

}  // namespace vmtpy::programs

int main(int count, char** arguments) {
  return vmtpy::programs::rpctool(count, arguments);
}
