#include "core/backdoor.h"

#include <map>

#include "bind/bind.h"
#include "core/hardware.h"
#include "core/meter.h"
#include "core/probe.h"

namespace vmtpy::bind {

namespace {

void bind_probe(py::module_& module) {
  py::enum_<Presence>(module, "Presence")
      .value("VMWARE", Presence::VMWARE)
      .value("FAULT", Presence::FAULT)
      .value("NO_ANSWER", Presence::NO_ANSWER)
      .value("UNDECIDED", Presence::UNDECIDED);
  py::class_<Probe>(module, "Probe")
      .def_readonly("presence", &Probe::presence)
      .def_readonly("version", &Probe::version)
      .def_readonly("product", &Probe::product)
      .def_readonly("hypervisor", &Probe::hypervisor)
      .def_readonly("reason", &Probe::reason);
  module.def("probe_ports", &probe_ports, ReleaseGil(), "The real instruction, tried in a child.");
  module.def("probe", &probe, py::arg("backdoor"), ReleaseGil());
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
  py::class_<PortBackdoor, Backdoor>(module, "PortBackdoor").def(py::init<>());
  bind_meter(module);
  bind_probe(module);
  bind_hardware(module);
}

}  // namespace vmtpy::bind
