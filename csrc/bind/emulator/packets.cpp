// Binds UnixDialer and the packets of the vsock transport. It serves tests that play the host
// themselves, byte by byte.
#include "bind/bind.h"
#include "doubles/unix_dialer.h"
#include "wire/data_map.h"

namespace vmtpy::bind {

void bind_packets(py::module_& module) {
  py::class_<doubles::UnixDialer, wire::Dialer>(module, "UnixDialer")
      .def(py::init<std::string, std::shared_ptr<emulator::Device>>(), py::arg("base"),
           py::arg("device") = py::none())
      .def("fail", &doubles::UnixDialer::fail, py::arg("error"), py::kw_only(),
           py::arg("times") = 0, py::arg("later") = false)
      .def("hold", &doubles::UnixDialer::hold, py::arg("held"))
      .def("forbid_privilege", &doubles::UnixDialer::forbid_privilege)
      .def_property_readonly("dials", &doubles::UnixDialer::dials)
      .def_property_readonly("privileged_dials", &doubles::UnixDialer::privileged_dials);
  py::class_<wire::Packet>(module, "Packet")
      .def_property_readonly(
          "ping", [](const wire::Packet& one) { return one.type == wire::PacketType::PING; })
      .def_property_readonly("payload",
                             [](const wire::Packet& one) { return to_bytes(one.payload); })
      .def_readonly("close", &wire::Packet::close);
  py::class_<wire::PacketDecoder>(module, "PacketDecoder")
      .def(py::init<std::size_t>(), py::arg("max_payload") = wire::MAX_MESSAGE)
      .def(
          "feed",
          [](wire::PacketDecoder& decoder, const py::bytes& bytes) {
            decoder.feed(std::string_view(bytes));
          },
          py::arg("bytes"))
      .def("take", &wire::PacketDecoder::take)
      .def_property_readonly("in_the_middle", &wire::PacketDecoder::in_the_middle)
      .def_property_readonly("kept", &wire::PacketDecoder::kept);
  module.def(
      "encode_packet",
      [](const py::bytes& payload, bool ping, bool close) {
        const auto type = ping ? wire::PacketType::PING : wire::PacketType::DATA;
        return to_bytes(wire::encode_packet({type, std::string(payload), close}));
      },
      py::arg("payload"), py::kw_only(), py::arg("ping") = false, py::arg("close") = false);
}

}  // namespace vmtpy::bind
