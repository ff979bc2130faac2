// Transports, its options and its table of choices.
#include "core/transports.h"

#include <memory>

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

void bind_transports(py::module_& module) {
  py::enum_<Preference>(module, "Preference")
      .value("AUTO", Preference::AUTO)
      .value("SPARE", Preference::SPARE)
      .value("VSOCK", Preference::VSOCK)
      .value("BACKDOOR", Preference::BACKDOOR);
  py::enum_<VsockState>(module, "VsockState")
      .value("ABSENT", VsockState::ABSENT)
      .value("DUE", VsockState::DUE)
      .value("CONNECTING", VsockState::CONNECTING)
      .value("OPEN", VsockState::OPEN)
      .value("RESTING", VsockState::RESTING);
  py::enum_<Choice>(module, "Choice")
      .value("BACKDOOR", Choice::BACKDOOR)
      .value("VSOCK", Choice::VSOCK)
      .value("WAIT", Choice::WAIT)
      .value("NONE", Choice::NONE);
  module.def("choose_transport", &choose_transport, py::arg("preference"), py::arg("backdoor"),
             py::arg("vsock"));
  module.def("wants_vsock", &wants_vsock, py::arg("preference"), py::arg("backdoor"));
  py::class_<Transports, std::shared_ptr<Transports>>(module, "Transports")
      .def(py::init([](Backdoor& backdoor, Dialer& dialer, Clock& clock, Preference preference,
                       std::string name, double connect) {
             TransportOptions options;
             options.preference = preference;
             options.backdoor_name = std::move(name);
             options.connect = from_seconds("connect", connect);
             return std::make_shared<Transports>(backdoor, dialer, clock, std::move(options));
           }),
           py::arg("backdoor"), py::arg("dialer"), py::arg("clock"), py::kw_only(),
           py::arg("preference") = Preference::AUTO, py::arg("backdoor_name") = "backdoor",
           py::arg("connect") = 5.0, py::keep_alive<1, 2>(), py::keep_alive<1, 3>(),
           py::keep_alive<1, 4>())
      .def(
          "trouble",
          [](const Transports& transports, wire::Protocol protocol) {
            return to_text(transports.trouble(protocol));
          },
          py::arg("protocol"));
}

}  // namespace vmtpy::bind
