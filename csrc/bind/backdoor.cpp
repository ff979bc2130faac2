#include "core/backdoor.h"

#include <array>
#include <map>
#include <utility>

#include "bind/bind.h"
#include "bind/text.h"
#include "core/hardware.h"
#include "core/meter.h"
#include "core/privilege.h"
#include "core/probe.h"

namespace vmtpy::bind {

namespace {

void bind_cpu(py::module_& module) {
  py::class_<Cpu>(module, "Cpu")
      .def(py::init([](bool is_virtual, std::string hypervisor, bool vmcall, bool vmmcall,
                       std::string encrypted) {
             return Cpu{is_virtual, std::move(hypervisor), vmcall, vmmcall, std::move(encrypted)};
           }),
           py::kw_only(), py::arg("is_virtual") = false, py::arg("hypervisor") = "",
           py::arg("vmcall") = false, py::arg("vmmcall") = false, py::arg("encrypted") = "")
      .def_readonly("is_virtual", &Cpu::is_virtual)
      .def_property_readonly("hypervisor", [](const Cpu& cpu) { return to_text(cpu.hypervisor); })
      .def_readonly("vmcall", &Cpu::vmcall)
      .def_readonly("vmmcall", &Cpu::vmmcall)
      .def_readonly("encrypted", &Cpu::encrypted);
  using Leaves = std::map<std::uint32_t, std::array<std::uint32_t, 4>>;  // others are zero
  module.def("read_cpu", py::overload_cast<>(&read_cpu), "What CPUID says here.");
  module.def(
      "read_cpu",
      [](const Leaves& leaves) {
        return read_cpu([&leaves](std::uint32_t leaf) {
          auto found = leaves.find(leaf);
          if (found == leaves.end()) return CpuidLeaf{};
          auto [eax, ebx, ecx, edx] = found->second;
          return CpuidLeaf{eax, ebx, ecx, edx};
        });
      },
      py::arg("leaves"));
}

void bind_way(py::module_& module) {
  py::enum_<Way>(module, "Way")
      .value("NONE", Way::NONE)
      .value("PORT", Way::PORT)
      .value("PRIVILEGED_PORT", Way::PRIVILEGED_PORT)
      .value("VMCALL", Way::VMCALL)
      .value("VMMCALL", Way::VMMCALL);
  module.def("make_backdoor", &make_backdoor, py::arg("way"), py::arg("cpu"));
  module.def(
      "io_privilege_error",
      [] {
        int result = set_io_privilege(true);
        if (result == 0) set_io_privilege(false);
        return -result;
      },
      "errno of raising this thread's I/O privilege, which is lowered again; 0: it may.");
}

void bind_probe(py::module_& module) {
  py::enum_<Presence>(module, "Presence")
      .value("VMWARE", Presence::VMWARE)
      .value("NO_CHANNEL", Presence::NO_CHANNEL)
      .value("FAULT", Presence::FAULT)
      .value("NO_ANSWER", Presence::NO_ANSWER)
      .value("UNDECIDED", Presence::UNDECIDED);
  py::class_<Probe>(module, "Probe")
      .def_readonly("presence", &Probe::presence)
      .def_readonly("way", &Probe::way)
      .def_readonly("version", &Probe::version)
      .def_readonly("product", &Probe::product)
      .def_readonly("cpu", &Probe::cpu)
      .def_readonly("privilege_error", &Probe::privilege_error)
      .def_property_readonly("reason", [](const Probe& probe) { return to_text(probe.reason); });
  module.def(
      "probe_machine",
      [](const Cpu& cpu, bool ports, bool hypercalls, bool ask_channel) {
        return probe_machine({ports, hypercalls, ask_channel}, cpu);
      },
      py::arg("cpu"), py::kw_only(), py::arg("ports") = true, py::arg("hypercalls") = true,
      py::arg("ask_channel") = false, ReleaseGil(), "The real instructions, tried in a child.");
  module.def(
      "probe", [](Backdoor& backdoor, const Cpu& cpu) { return probe(backdoor, cpu); },
      py::arg("backdoor"), py::arg("cpu"), ReleaseGil());
}

void bind_hardware(py::module_& module) {
  py::class_<Hardware>(module, "Hardware")
      .def_readonly("hardware_version", &Hardware::hardware_version)
      .def_readonly("uuid", &Hardware::uuid)
      .def_readonly("memory_mib", &Hardware::memory_mib)
      .def_readonly("cpu_mhz", &Hardware::cpu_mhz);
  py::class_<HostTime>(module, "HostTime")
      .def_readonly("unix_us", &HostTime::unix_us)
      .def_readonly("max_lag_us", &HostTime::max_lag_us)
      .def_readonly("lag_us", &HostTime::lag_us);
  module.def("read_hardware", &read_hardware, py::arg("backdoor"), ReleaseGil());
  module.def("read_host_time", &read_host_time, py::arg("backdoor"), ReleaseGil());
  module.def("read_time_option", &read_time_option, py::arg("backdoor"), ReleaseGil());
}

void bind_meter(py::module_& module) {
  py::class_<MeteredBackdoor, Backdoor>(module, "MeteredBackdoor")
      .def(py::init<Backdoor&>(), py::arg("backdoor"), py::keep_alive<1, 2>())
      .def("counts", [](MeteredBackdoor& backdoor) {
        const Meter& meter = *backdoor.meter();
        return std::map<std::string, std::uint64_t>{
            {"low", meter.low},          {"high_out", meter.high_out}, {"high_in", meter.high_in},
            {"opens", meter.opens},      {"failures", meter.failures}, {"rpcs", meter.rpcs},
            {"refusals", meter.refusals}};
      });
}

}  // namespace

void bind_backdoor(py::module_& module) {
  py::class_<Backdoor> base(module, "Backdoor");
  base.def("high_bandwidth", &Backdoor::high_bandwidth);
  py::class_<PortBackdoor, Backdoor>(module, "PortBackdoor").def(py::init<>());
  py::class_<AbsentBackdoor, Backdoor>(module, "AbsentBackdoor").def(py::init<>());
  bind_meter(module);
  bind_cpu(module);
  bind_way(module);
  bind_probe(module);
  bind_hardware(module);
}

}  // namespace vmtpy::bind
