// The table of contents of vmtpy._host: the emulated VMware and the doubles for tests. The agent
// never imports it. The base classes (Backdoor, System, Clock) are those of _core.
#include "base/errors.h"
#include "bind/bind.h"

PYBIND11_MODULE(_host, module) {
  using namespace vmtpy::bind;
  py::module_::import("vmtpy._core");
  bind_faults(module);
  bind_device(module);
  bind_recorder(module);
#ifdef __x86_64__
  bind_trap(module);
#else
  module.def("TrapHost", [](const py::args&, const py::kwargs&) {
    throw vmtpy::Error("programs can be run under the emulated VMware on x86-64 only");
  });
#endif
  bind_vsock(module);
  bind_packets(module);
}
