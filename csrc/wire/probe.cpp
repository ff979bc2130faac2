// Judges the trials of each way, and composes the sentence for people. It relies on wire/trial.h to
// execute the instructions.
#include "wire/probe.h"

#include <utility>

#include "wire/trial.h"

namespace vmtpy::wire {
namespace {

constexpr char VMWARE[] = "VMwareVMware";

std::string surroundings(const Cpu& cpu) {
  if (!cpu.is_virtual) return "the processor announces no hypervisor";
  if (cpu.hypervisor == VMWARE) return "although the processor announces VMware";
  if (cpu.hypervisor.empty()) return "the processor announces a hypervisor without a name";
  return "the processor announces the hypervisor " + cpu.hypervisor;
}

std::string name_of(BackdoorWay way) {
  return way == BackdoorWay::VMCALL || way == BackdoorWay::VMMCALL ? "VMware's hypercall"
                                                                   : "VMware's backdoor port";
}

Probe judge(const TrialResult& result, BackdoorWay way, const Cpu& cpu) {
  const Trial& trial = result.trial;
  Probe probe;
  probe.cpu = cpu;
  probe.privilege_error = trial.privilege_error;
  if (trial.answered) {
    probe.way = way;
    probe.version = trial.version;
    probe.product = trial.product;
    probe.presence = trial.channel ? Presence::VMWARE : Presence::NO_CHANNEL;
    if (!trial.channel) {
      probe.reason =
          "VMware's backdoor answers, but opens no message channel; " + surroundings(cpu);
    }
  } else if (trial.done) {
    probe.presence = Presence::NO_ANSWER;
    probe.reason = "nobody answers at " + name_of(way) + "; " + surroundings(cpu);
  } else if (trial.tried) {
    probe.presence = Presence::FAULT;
    probe.reason = name_of(way) + " faults (" + result.fault + "); " + surroundings(cpu);
  } else {
    probe.presence = Presence::UNDECIDED;
    probe.reason = "VMware's backdoor could not be tried: " + result.fault;
  }
  return probe;
}

bool answers(const Probe& probe) {
  return probe.way != BackdoorWay::NONE;
}

// Tries one way after the other until one answers. The result of a later way counts only if it says
// more than the ports did: that they can be used with privilege, or that somebody answers. It lives
// in one call of probe_machine().
class Search {
 public:
  Search(const Cpu& cpu, bool ask_channel) : cpu_(cpu), ask_channel_(ask_channel) {
    probe_.cpu = cpu_;
    probe_.reason = "VMware's hypercall could not be tried: the processor does not announce it; " +
                    surroundings(cpu_);
  }

  void ports() {
    probe_ = try_one(BackdoorWay::PORT);
    if (probe_.presence != Presence::FAULT || !cpu_.is_virtual) return;
    Probe privileged = try_one(BackdoorWay::PRIVILEGED_PORT);
    if (answers(privileged) || privileged.presence == Presence::NO_ANSWER) probe_ = privileged;
    probe_.privilege_error = privileged.privilege_error;
  }

  void hypercalls() {
    for (auto [usable, way] :
         {std::pair(cpu_.vmmcall, BackdoorWay::VMMCALL), {cpu_.vmcall, BackdoorWay::VMCALL}}) {
      if (!usable || answers(probe_)) continue;
      Probe found = try_one(way);
      if (answers(found) || probe_.presence == Presence::UNDECIDED) probe_ = found;
    }
  }

  const Probe& found() const { return probe_; }

 private:
  Probe try_one(BackdoorWay way) const {
    bool ask = ask_channel_ || cpu_.hypervisor != VMWARE;
    TrialResult result = try_way(way, cpu_, ask);
    if (!ask) result.trial.channel = result.trial.answered;
    return judge(result, way, cpu_);
  }

  const Cpu cpu_;
  const bool ask_channel_;
  Probe probe_;
};

}  // namespace

Probe probe_machine(const ProbeOptions& options, const Cpu& cpu) {
  Search search(cpu, options.ask_channel);
  if (options.ports) search.ports();
  if (options.hypercalls) search.hypercalls();
  return search.found();
}

Probe probe(Backdoor& backdoor, const Cpu& cpu) {
  Probe found = judge({try_backdoor(backdoor, true), ""}, BackdoorWay::PORT, cpu);
  found.way = BackdoorWay::NONE;  // the way is the caller's own
  return found;
}

}  // namespace vmtpy::wire
