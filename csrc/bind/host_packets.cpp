// UnixDialer; packets of the vsock transport, for hosts that tests play themselves.
#include "bind/bind.h"
#include "core/data_map.h"
#include "host/unix_dialer.h"

namespace vmtpy::bind {

void bind_packets(py::module_& module) {
  py::class_<host::UnixDialer, Dialer>(module, "UnixDialer")
      .def(py::init<std::string, std::shared_ptr<host::Device>>(), py::arg("base"),
           py::arg("device") = py::none())
      .def("fail", &host::UnixDialer::fail, py::arg("error"), py::kw_only(), py::arg("times") = 0,
           py::arg("later") = false)
      .def("hold", &host::UnixDialer::hold, py::arg("held"))
      .def("forbid_privilege", &host::UnixDialer::forbid_privilege)
      .def_property_readonly("dials", &host::UnixDialer::dials)
      .def_property_readonly("privileged_dials", &host::UnixDialer::privileged_dials);
  py::class_<Packet>(module, "Packet")
      .def_property_readonly("ping",
                             [](const Packet& one) { return one.type == wire::PacketType::PING; })
      .def_property_readonly("payload", [](const Packet& one) { return to_bytes(one.payload); })
      .def_readonly("close", &Packet::close);
  py::class_<PacketDecoder>(module, "PacketDecoder")
      .def(py::init<std::size_t>(), py::arg("max_payload") = wire::MAX_MESSAGE)
      .def(
          "feed",
          [](PacketDecoder& decoder, const py::bytes& bytes) {
            decoder.feed(std::string_view(bytes));
          },
          py::arg("bytes"))
      .def("take", &PacketDecoder::take)
      .def_property_readonly("in_the_middle", &PacketDecoder::in_the_middle)
      .def_property_readonly("kept", &PacketDecoder::kept);
  module.def(
      "encode_packet",
      [](const py::bytes& payload, bool ping, bool close) {
        const auto type = ping ? wire::PacketType::PING : wire::PacketType::DATA;
        return to_bytes(encode_packet({type, std::string(payload), close}));
      },
      py::arg("payload"), py::kw_only(), py::arg("ping") = false, py::arg("close") = false);
}

}  // namespace vmtpy::bind
