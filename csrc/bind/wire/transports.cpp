// Binds Transports, its options and its table of choices. It serves vmtpy.transport, and the test
// that renders the table.
#include "wire/transports.h"

#include <memory>

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

void bind_transports(py::module_& module) {
  py::native_enum<wire::Preference>(module, "Preference", "enum.Enum")
      .value("AUTO", wire::Preference::AUTO)
      .value("SPARE", wire::Preference::SPARE)
      .value("VSOCK", wire::Preference::VSOCK)
      .value("BACKDOOR", wire::Preference::BACKDOOR)
      .finalize();
  py::native_enum<wire::VsockState>(module, "VsockState", "enum.Enum")
      .value("ABSENT", wire::VsockState::ABSENT)
      .value("DUE", wire::VsockState::DUE)
      .value("CONNECTING", wire::VsockState::CONNECTING)
      .value("OPEN", wire::VsockState::OPEN)
      .value("RESTING", wire::VsockState::RESTING)
      .finalize();
  py::native_enum<wire::Choice>(module, "Choice", "enum.Enum")
      .value("BACKDOOR", wire::Choice::BACKDOOR)
      .value("VSOCK", wire::Choice::VSOCK)
      .value("WAIT", wire::Choice::WAIT)
      .value("NONE", wire::Choice::NONE)
      .finalize();
  module.def("choose_transport", &wire::choose_transport, py::arg("preference"),
             py::arg("backdoor"), py::arg("vsock"));
  module.def("wants_vsock", &wire::wants_vsock, py::arg("preference"), py::arg("backdoor"));
  py::class_<wire::Transports, std::shared_ptr<wire::Transports>>(module, "Transports")
      .def(py::init([](wire::Backdoor& backdoor, wire::Dialer& dialer, Clock& clock,
                       wire::Preference preference, std::string name, double connect) {
             wire::TransportOptions options;
             options.preference = preference;
             options.backdoor_name = std::move(name);
             options.connect = from_seconds("connect", connect);
             return std::make_shared<wire::Transports>(backdoor, dialer, clock, std::move(options));
           }),
           py::arg("backdoor"), py::arg("dialer"), py::arg("clock"), py::kw_only(),
           py::arg("preference") = wire::Preference::AUTO, py::arg("backdoor_name") = "backdoor",
           py::arg("connect") = 5.0, py::keep_alive<1, 2>(), py::keep_alive<1, 3>(),
           py::keep_alive<1, 4>())
      .def(
          "trouble",
          [](const wire::Transports& transports, wire::Protocol protocol) {
            return to_text(transports.trouble(protocol));
          },
          py::arg("protocol"));
}

}  // namespace vmtpy::bind
