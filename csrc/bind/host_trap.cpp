// The ptrace host.
#include "bind/bind.h"
#include "host/trap.h"

namespace vmtpy::bind {

namespace {

using host::CpuidMethod;
using host::Device;
using host::TrapHost;

std::unique_ptr<TrapHost> make_trap_host(std::shared_ptr<Device> device,
                                         std::vector<std::string> command, CpuidMethod cpuid,
                                         bool backdoor, std::optional<std::string> vsock) {
  return std::make_unique<TrapHost>(std::move(device), std::move(command),
                                    host::TrapHostOptions{cpuid, backdoor, std::move(vsock)});
}

}  // namespace

void bind_trap(py::module_& module) {
  py::enum_<CpuidMethod>(module, "CpuidMethod")
      .value("NONE", CpuidMethod::NONE)
      .value("FAULT", CpuidMethod::FAULT)
      .value("PATCH", CpuidMethod::PATCH);

  py::class_<TrapHost>(module, "TrapHost")
      .def(py::init(&make_trap_host), py::keep_alive<1, 2>(), py::arg("device"), py::arg("command"),
           py::kw_only(), py::arg("cpuid") = CpuidMethod::FAULT, py::arg("backdoor") = true,
           py::arg("vsock") = py::none())
      .def("start", &TrapHost::start, ReleaseGil())
      .def(
          "wait",
          [](TrapHost& host, double deadline) {
            py::gil_scoped_release release;
            return host.wait(Time(from_seconds(deadline)));
          },
          py::arg("deadline"))
      .def(
          "wait_program",
          [](TrapHost& host, double deadline) {
            py::gil_scoped_release release;
            return host.wait_program(Time(from_seconds(deadline)));
          },
          py::arg("deadline"))
      .def("wait_status", &TrapHost::wait_status)
      .def("process", &TrapHost::process)
      .def("signal", &TrapHost::signal, py::arg("number"))
      .def("cpuid_answered", &TrapHost::cpuid_answered);
}

}  // namespace vmtpy::bind
