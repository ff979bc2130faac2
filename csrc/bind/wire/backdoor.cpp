// Binds Backdoor, the real backdoors, CPUID, the probe and the hardware's facts. It serves
// vmtpy._probe and vmtpy.backdoor.
#include "wire/backdoor.h"

#include <array>
#include <map>
#include <utility>

#include "bind/bind.h"
#include "bind/text.h"
#include "linux/io_privilege.h"
#include "wire/hardware.h"
#include "wire/meter.h"
#include "wire/probe.h"

namespace vmtpy::bind {

namespace {

void bind_cpu(py::module_& module) {
  py::class_<wire::Cpu>(module, "Cpu")
      .def(py::init([](bool is_virtual, std::string hypervisor, bool vmcall, bool vmmcall,
                       std::string encrypted) {
             return wire::Cpu{is_virtual, std::move(hypervisor), vmcall, vmmcall,
                              std::move(encrypted)};
           }),
           py::kw_only(), py::arg("is_virtual") = false, py::arg("hypervisor") = "",
           py::arg("vmcall") = false, py::arg("vmmcall") = false, py::arg("encrypted") = "")
      .def_readonly("is_virtual", &wire::Cpu::is_virtual)
      .def_property_readonly("hypervisor",
                             [](const wire::Cpu& cpu) { return to_text(cpu.hypervisor); })
      .def_readonly("vmcall", &wire::Cpu::vmcall)
      .def_readonly("vmmcall", &wire::Cpu::vmmcall)
      .def_readonly("encrypted", &wire::Cpu::encrypted);
  // Leaves that are missing are zero.
  using Leaves = std::map<std::uint32_t, std::array<std::uint32_t, 4>>;
  module.def("read_cpu", py::overload_cast<>(&wire::read_cpu), "What CPUID says here.");
  module.def(
      "read_cpu",
      [](const Leaves& leaves) {
        return wire::read_cpu([&leaves](std::uint32_t leaf) {
          auto found = leaves.find(leaf);
          if (found == leaves.end()) return wire::CpuidLeaf{};
          auto [eax, ebx, ecx, edx] = found->second;
          return wire::CpuidLeaf{eax, ebx, ecx, edx};
        });
      },
      py::arg("leaves"));
}

void bind_way(py::module_& module) {
  py::native_enum<wire::BackdoorWay>(module, "BackdoorWay", "enum.Enum")
      .value("NONE", wire::BackdoorWay::NONE)
      .value("PORT", wire::BackdoorWay::PORT)
      .value("PRIVILEGED_PORT", wire::BackdoorWay::PRIVILEGED_PORT)
      .value("VMCALL", wire::BackdoorWay::VMCALL)
      .value("VMMCALL", wire::BackdoorWay::VMMCALL)
      .finalize();
  module.def("make_backdoor", &wire::make_backdoor, py::arg("way"), py::arg("cpu"));
  module.def(
      "io_privilege_error",
      [] {
        int result = linux::set_io_privilege(true);
        if (result == 0) linux::set_io_privilege(false);
        return -result;
      },
      "errno of raising this thread's I/O privilege, which is lowered again; 0: it may.");
}

void bind_probe(py::module_& module) {
  py::native_enum<wire::Presence>(module, "Presence", "enum.Enum")
      .value("VMWARE", wire::Presence::VMWARE)
      .value("NO_CHANNEL", wire::Presence::NO_CHANNEL)
      .value("FAULT", wire::Presence::FAULT)
      .value("NO_ANSWER", wire::Presence::NO_ANSWER)
      .value("UNDECIDED", wire::Presence::UNDECIDED)
      .finalize();
  py::class_<wire::Probe>(module, "Probe")
      .def_readonly("presence", &wire::Probe::presence)
      .def_readonly("way", &wire::Probe::way)
      .def_readonly("version", &wire::Probe::version)
      .def_readonly("product", &wire::Probe::product)
      .def_readonly("cpu", &wire::Probe::cpu)
      .def_readonly("privilege_error", &wire::Probe::privilege_error)
      .def_property_readonly("reason",
                             [](const wire::Probe& probe) { return to_text(probe.reason); });
  module.def(
      "probe_machine",
      [](const wire::Cpu& cpu, bool ports, bool hypercalls, bool ask_channel) {
        return wire::probe_machine({ports, hypercalls, ask_channel}, cpu);
      },
      py::arg("cpu"), py::kw_only(), py::arg("ports") = true, py::arg("hypercalls") = true,
      py::arg("ask_channel") = false, ReleaseGil(), "The real instructions, tried in a child.");
  module.def(
      "probe",
      [](wire::Backdoor& backdoor, const wire::Cpu& cpu) { return wire::probe(backdoor, cpu); },
      py::arg("backdoor"), py::arg("cpu"), ReleaseGil());
}

void bind_hardware(py::module_& module) {
  py::class_<wire::Hardware>(module, "Hardware")
      .def_readonly("hardware_version", &wire::Hardware::hardware_version)
      .def_readonly("uuid", &wire::Hardware::uuid)
      .def_readonly("memory_mib", &wire::Hardware::memory_mib)
      .def_readonly("cpu_mhz", &wire::Hardware::cpu_mhz);
  py::class_<wire::HostTime>(module, "HostTime")
      .def_readonly("unix_us", &wire::HostTime::unix_us)
      .def_readonly("max_lag_us", &wire::HostTime::max_lag_us)
      .def_readonly("lag_us", &wire::HostTime::lag_us);
  module.def("read_hardware", &wire::read_hardware, py::arg("backdoor"), ReleaseGil());
  module.def("read_host_time", &wire::read_host_time, py::arg("backdoor"), ReleaseGil());
  module.def("read_time_option", &wire::read_time_option, py::arg("backdoor"), ReleaseGil());
}

void bind_meter(py::module_& module) {
  py::class_<wire::MeteredBackdoor, wire::Backdoor>(module, "MeteredBackdoor")
      .def(py::init<wire::Backdoor&>(), py::arg("backdoor"), py::keep_alive<1, 2>())
      .def("record_to", &wire::MeteredBackdoor::record_to, py::arg("name"))
      .def("counts", [](wire::MeteredBackdoor& backdoor) {
        const wire::Meter& meter = *backdoor.meter();
        return std::map<std::string, std::uint64_t>{
            {"low", meter.low},          {"high_out", meter.high_out}, {"high_in", meter.high_in},
            {"opens", meter.opens},      {"failures", meter.failures}, {"rpcs", meter.rpcs},
            {"refusals", meter.refusals}};
      });
}

}  // namespace

void bind_backdoor(py::module_& module) {
  py::class_<wire::Backdoor> base(module, "Backdoor");
  base.def("high_bandwidth", &wire::Backdoor::high_bandwidth);
  py::class_<wire::PortBackdoor, wire::Backdoor>(module, "PortBackdoor").def(py::init<>());
  py::class_<wire::AbsentBackdoor, wire::Backdoor>(module, "AbsentBackdoor").def(py::init<>());
  bind_meter(module);
  bind_cpu(module);
  bind_way(module);
  bind_probe(module);
  bind_hardware(module);
}

}  // namespace vmtpy::bind
