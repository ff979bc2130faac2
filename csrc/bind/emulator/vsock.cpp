// Binds the emulated host on vsock, and the ways in which it misbehaves. It serves vmtpy.host and
// the tests of bad hosts.
#include "bind/bind.h"
#include "emulator/vsock/vsock_service.h"

namespace vmtpy::bind {

void bind_vsock(py::module_& module) {
  using emulator::Device;
  using emulator::VsockFault;
  using emulator::VsockService;

  py::native_enum<VsockFault>(module, "VsockFault", "enum.Enum")
      .value("RESET", VsockFault::RESET)
      .value("CLOSE", VsockFault::CLOSE)
      .value("SILENCE", VsockFault::SILENCE)
      .value("HALF", VsockFault::HALF)
      .value("STALL", VsockFault::STALL)
      .value("OVERSIZE", VsockFault::OVERSIZE)
      .value("UNKNOWN_FIELDS", VsockFault::UNKNOWN_FIELDS)
      .value("UNKNOWN_TYPE", VsockFault::UNKNOWN_TYPE)
      .value("PING_STORM", VsockFault::PING_STORM)
      .value("SLOW", VsockFault::SLOW)
      .finalize();

  py::class_<VsockService>(module, "VsockService")
      .def(py::init<std::shared_ptr<Device>, std::string, bool>(), py::keep_alive<1, 2>(),
           py::arg("device"), py::arg("base") = "", py::kw_only(), py::arg("tclo") = true)
      .def("stop_listening", &VsockService::stop_listening, ReleaseGil())
      .def("listen_again", &VsockService::listen_again, ReleaseGil())
      .def("drop_connections", &VsockService::drop_connections, ReleaseGil())
      .def("misbehave", &VsockService::misbehave, ReleaseGil(), py::arg("fault"), py::kw_only(),
           py::arg("port") = 0, py::arg("after") = 0, py::arg("times") = 1)
      .def("send_raw", &VsockService::send_raw, ReleaseGil(), py::arg("port"), py::arg("data"))
      .def("connections", &VsockService::connections, ReleaseGil())
      .def("counts", &VsockService::counts, ReleaseGil());
}

}  // namespace vmtpy::bind
