// Binds Dialer and VsockDialer. They serve vmtpy.transport; tests put UnixDialer
// (bind/emulator/packets.cpp) in their place.
#include "wire/dialer.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_dialer(py::module_& module) {
  py::class_<wire::Dialer> base(module, "Dialer");
  py::class_<wire::VsockDialer, wire::Dialer>(module, "VsockDialer")
      .def(py::init<std::uint32_t>(), py::arg("context") = wire::VSOCK_HOST);
}

}  // namespace vmtpy::bind
