// Table of contents of vmtpy._host: the emulated VMware and the means of tests. The agent never
// imports it. The base classes (Backdoor, Os, Clock) are those of _core.
#include "bind/bind.h"

PYBIND11_MODULE(_host, module) {
  using namespace vmtpy::bind;
  py::module_::import("vmtpy._core");
  bind_faults(module);
  bind_device(module);
  bind_recorder(module);
  bind_trap(module);
  bind_vsock(module);
  bind_packets(module);
}
