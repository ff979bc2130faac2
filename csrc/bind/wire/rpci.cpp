// Binds the channels, Rpci and Tclo. It serves vmtpy.rpci and the tests of the wire. Payloads are
// bytes, and no call holds the GIL.
#include "wire/rpci.h"

#include "bind/bind.h"
#include "wire/tclo.h"

namespace vmtpy::bind {

namespace {

py::object to_bytes_or_none(const std::optional<std::string>& data) {
  if (!data) return py::none();
  return to_bytes(*data);
}

wire::ChannelOptions options(bool high_bandwidth, std::size_t max_receive) {
  return {.high_bandwidth = high_bandwidth, .max_receive = max_receive};
}

// Runs `work` without the GIL. The caller turns bytes into views before it, and results into
// objects after it.
template <typename Work>
auto unlocked(Work work) {
  py::gil_scoped_release release;
  return work();
}

// Binds what both kinds of channels have in common.
void bind_channel(py::module_& module) {
  py::native_enum<wire::Protocol>(module, "Protocol", "enum.Enum")
      .value("RPCI", wire::Protocol::RPCI)
      .value("TCLO", wire::Protocol::TCLO)
      .finalize();
  py::class_<wire::Channel>(module, "Channel")
      .def("open", &wire::Channel::open, ReleaseGil())
      .def("close", &wire::Channel::close, ReleaseGil())
      .def("is_open", &wire::Channel::is_open, ReleaseGil())
      .def(
          "send",
          [](wire::Channel& channel, const py::bytes& message) {
            std::string_view view = message;
            unlocked([&] { channel.send(view); });
          },
          py::arg("message"))
      .def("receive",
           [](wire::Channel& channel) {
             return to_bytes_or_none(unlocked([&] { return channel.receive(); }));
           })
      .def(
          "exchange",
          [](wire::Channel& channel, const py::bytes& message) {
            std::string_view view = message;
            return to_bytes_or_none(unlocked([&] { return channel.exchange(view); }));
          },
          py::arg("message"));
  py::class_<wire::BackdoorChannel, wire::Channel>(module, "BackdoorChannel")
      .def(py::init([](wire::Backdoor& backdoor, wire::Protocol protocol, bool high,
                       std::size_t max) {
             return std::make_unique<wire::BackdoorChannel>(backdoor, protocol, options(high, max));
           }),
           py::arg("backdoor"), py::arg("protocol"), py::kw_only(),
           py::arg("high_bandwidth") = true, py::arg("max_receive") = wire::MAX_MESSAGE,
           py::keep_alive<1, 2>());
  py::class_<wire::VsockChannel, wire::Channel>(module, "VsockChannel")
      .def(py::init([](std::shared_ptr<wire::Transports> transports, wire::Protocol protocol) {
             return std::make_unique<wire::VsockChannel>(std::move(transports), protocol);
           }),
           py::arg("transports"), py::arg("protocol"), py::keep_alive<1, 2>())
      .def("advance", &wire::VsockChannel::advance, ReleaseGil())
      .def("ping", &wire::VsockChannel::ping, ReleaseGil())
      .def(
          "set_patience",
          [](wire::VsockChannel& channel, double seconds) {
            channel.set_patience(from_seconds("seconds", seconds));
          },
          py::arg("seconds"))
      .def_property_readonly("privileged", &wire::VsockChannel::privileged)
      .def_property_readonly("descriptor", &wire::VsockChannel::descriptor);
}

void bind_rpci_class(py::module_& module) {
  py::class_<wire::Rpci>(module, "Rpci")
      .def(py::init([](wire::Backdoor& backdoor, bool high, std::size_t max) {
             return std::make_unique<wire::Rpci>(backdoor, options(high, max));
           }),
           py::arg("backdoor"), py::kw_only(), py::arg("high_bandwidth") = true,
           py::arg("max_receive") = wire::MAX_MESSAGE, py::keep_alive<1, 2>())
      .def(py::init([](std::shared_ptr<wire::Transports> transports) {
             return std::make_unique<wire::Rpci>(std::move(transports));
           }),
           py::arg("transports"), py::keep_alive<1, 2>())
      .def(
          "set_patience",
          [](wire::Rpci& rpci, double seconds) {
            rpci.set_patience(from_seconds("seconds", seconds));
          },
          py::arg("seconds"))
      .def_property_readonly("over_vsock", &wire::Rpci::over_vsock)
      .def(
          "call",
          [](wire::Rpci& rpci, const py::bytes& request, bool last) {
            std::string_view view = request;
            wire::RpciReply reply = unlocked([&] { return rpci.call(view, last); });
            return py::make_tuple(reply.ok, to_bytes(reply.data));
          },
          py::arg("request"), py::kw_only(), py::arg("last") = false, "(ok, data or reason)")
      .def("close", &wire::Rpci::close, ReleaseGil());
}

void bind_tclo(py::module_& module) {
  py::class_<wire::Tclo>(module, "Tclo")
      .def(py::init([](wire::Backdoor& backdoor, bool high, std::size_t max) {
             return std::make_unique<wire::Tclo>(backdoor, options(high, max));
           }),
           py::arg("backdoor"), py::kw_only(), py::arg("high_bandwidth") = true,
           py::arg("max_receive") = wire::MAX_MESSAGE, py::keep_alive<1, 2>())
      .def(py::init([](std::shared_ptr<wire::Transports> transports) {
             return std::make_unique<wire::Tclo>(std::move(transports));
           }),
           py::arg("transports"), py::keep_alive<1, 2>())
      .def_property_readonly("pushed", &wire::Tclo::pushed)
      .def("poll",
           [](wire::Tclo& tclo) { return to_bytes_or_none(unlocked([&] { return tclo.poll(); })); })
      .def(
          "answer",
          [](wire::Tclo& tclo, const py::bytes& reply) {
            std::string_view view = reply;
            unlocked([&] { tclo.answer(view); });
          },
          py::arg("reply"))
      .def("close", &wire::Tclo::close, ReleaseGil());
}

}  // namespace

void bind_rpci(py::module_& module) {
  bind_channel(module);
  bind_rpci_class(module);
  bind_tclo(module);
}

}  // namespace vmtpy::bind
