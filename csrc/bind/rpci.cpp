#include "core/rpci.h"

#include "bind/bind.h"
#include "core/tclo.h"

namespace vmtpy::bind {

namespace {

py::object to_bytes_or_none(const std::optional<std::string>& data) {
  if (!data) return py::none();
  return to_bytes(*data);
}

ChannelOptions options(bool high_bandwidth, std::size_t max_receive) {
  return {.high_bandwidth = high_bandwidth, .max_receive = max_receive};
}

// Runs `work` without the GIL. Bytes are turned into views before and into objects after.
template <typename Work>
auto unlocked(Work work) {
  py::gil_scoped_release release;
  return work();
}

// What both kinds of channels can do.
void bind_channel(py::module_& module) {
  py::enum_<wire::Protocol>(module, "Protocol")
      .value("RPCI", wire::Protocol::RPCI)
      .value("TCLO", wire::Protocol::TCLO);
  py::class_<Channel>(module, "Channel")
      .def("open", &Channel::open, ReleaseGil())
      .def("close", &Channel::close, ReleaseGil())
      .def("is_open", &Channel::is_open, ReleaseGil())
      .def(
          "send",
          [](Channel& channel, const py::bytes& message) {
            std::string_view view = message;
            unlocked([&] { channel.send(view); });
          },
          py::arg("message"))
      .def("receive",
           [](Channel& channel) {
             return to_bytes_or_none(unlocked([&] { return channel.receive(); }));
           })
      .def(
          "exchange",
          [](Channel& channel, const py::bytes& message) {
            std::string_view view = message;
            return to_bytes_or_none(unlocked([&] { return channel.exchange(view); }));
          },
          py::arg("message"));
  py::class_<BackdoorChannel, Channel>(module, "BackdoorChannel")
      .def(py::init([](Backdoor& backdoor, wire::Protocol protocol, bool high, std::size_t max) {
             return std::make_unique<BackdoorChannel>(backdoor, protocol, options(high, max));
           }),
           py::arg("backdoor"), py::arg("protocol"), py::kw_only(),
           py::arg("high_bandwidth") = true, py::arg("max_receive") = wire::MAX_MESSAGE,
           py::keep_alive<1, 2>());
  py::class_<VsockChannel, Channel>(module, "VsockChannel")
      .def(py::init([](std::shared_ptr<Transports> transports, wire::Protocol protocol) {
             return std::make_unique<VsockChannel>(std::move(transports), protocol);
           }),
           py::arg("transports"), py::arg("protocol"), py::keep_alive<1, 2>())
      .def("advance", &VsockChannel::advance, ReleaseGil())
      .def("ping", &VsockChannel::ping, ReleaseGil())
      .def(
          "set_patience",
          [](VsockChannel& channel, double seconds) {
            channel.set_patience(from_seconds("seconds", seconds));
          },
          py::arg("seconds"))
      .def_property_readonly("privileged", &VsockChannel::privileged)
      .def_property_readonly("descriptor", &VsockChannel::descriptor);
}

void bind_rpci_class(py::module_& module) {
  py::class_<Rpci>(module, "Rpci")
      .def(py::init([](Backdoor& backdoor, bool high, std::size_t max) {
             return std::make_unique<Rpci>(backdoor, options(high, max));
           }),
           py::arg("backdoor"), py::kw_only(), py::arg("high_bandwidth") = true,
           py::arg("max_receive") = wire::MAX_MESSAGE, py::keep_alive<1, 2>())
      .def(py::init([](std::shared_ptr<Transports> transports) {
             return std::make_unique<Rpci>(std::move(transports));
           }),
           py::arg("transports"), py::keep_alive<1, 2>())
      .def(
          "set_patience",
          [](Rpci& rpci, double seconds) { rpci.set_patience(from_seconds("seconds", seconds)); },
          py::arg("seconds"))
      .def_property_readonly("over_vsock", &Rpci::over_vsock)
      .def(
          "call",
          [](Rpci& rpci, const py::bytes& request, bool last) {
            std::string_view view = request;
            RpciReply reply = unlocked([&] { return rpci.call(view, last); });
            return py::make_tuple(reply.ok, to_bytes(reply.data));
          },
          py::arg("request"), py::kw_only(), py::arg("last") = false, "(ok, data or reason)")
      .def("close", &Rpci::close, ReleaseGil());
}

void bind_tclo(py::module_& module) {
  py::class_<Tclo>(module, "Tclo")
      .def(py::init([](Backdoor& backdoor, bool high, std::size_t max) {
             return std::make_unique<Tclo>(backdoor, options(high, max));
           }),
           py::arg("backdoor"), py::kw_only(), py::arg("high_bandwidth") = true,
           py::arg("max_receive") = wire::MAX_MESSAGE, py::keep_alive<1, 2>())
      .def(py::init([](std::shared_ptr<Transports> transports) {
             return std::make_unique<Tclo>(std::move(transports));
           }),
           py::arg("transports"), py::keep_alive<1, 2>())
      .def_property_readonly("pushed", &Tclo::pushed)
      .def("take_change", &Tclo::take_change)
      .def("poll",
           [](Tclo& tclo) { return to_bytes_or_none(unlocked([&] { return tclo.poll(); })); })
      .def(
          "answer",
          [](Tclo& tclo, const py::bytes& reply) {
            std::string_view view = reply;
            unlocked([&] { tclo.answer(view); });
          },
          py::arg("reply"))
      .def("close", &Tclo::close, ReleaseGil());
}

}  // namespace

void bind_rpci(py::module_& module) {
  bind_channel(module);
  bind_rpci_class(module);
  bind_tclo(module);
}

}  // namespace vmtpy::bind
