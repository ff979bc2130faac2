// Binds Device and the in-process host that is built on it. It serves vmtpy.host and the tests,
// some of which make single traps.
#include "emulator/device.h"

#include "bind/bind.h"
#include "bind/emulator/registers.h"
#include "emulator/emulated_backdoor.h"

namespace vmtpy::bind {

namespace {

using emulator::Carrier;
using emulator::Device;
using emulator::EmulatedBackdoor;
using emulator::EmulatedHypercall;

std::shared_ptr<Device> make_device(Clock& clock, bool high_bandwidth, bool cookies,
                                    int checkpoint_every, bool message, std::uint32_t product,
                                    bool dirty_upper_halves, bool secure) {
  emulator::DeviceOptions options{high_bandwidth,     cookies, checkpoint_every, message, product,
                                  dirty_upper_halves, secure};
  return std::make_shared<Device>(clock, options);
}

void misbehave(Device& device, std::uint16_t step, int after, int times,
               std::optional<std::uint16_t> status, std::optional<std::uint32_t> ebx,
               std::optional<std::uint16_t> edx_high) {
  device.misbehave({step, after, times, status, ebx, edx_high});
}

// Makes one hypercall by vmcall, with any registers.
RegisterMap hypercall(const std::shared_ptr<Device>& device, const RegisterMap& map) {
  class NoMemory final : public emulator::GuestMemory {
   public:
    bool read(std::uint64_t, void*, std::size_t) override { return false; }
    bool write(std::uint64_t, const void*, std::size_t) override { return false; }
  } memory;
  wire::Registers registers = to_registers(map);
  device->hypercall(Carrier::VMCALL, registers, memory);
  return to_map(registers);
}

RegisterMap low(std::shared_ptr<Device> device, const RegisterMap& map) {
  wire::Registers registers = to_registers(map);
  EmulatedBackdoor(std::move(device)).low(registers);
  return to_map(registers);
}

// Sets rsi to the address of `data`.
RegisterMap high_out(std::shared_ptr<Device> device, const RegisterMap& map, std::string data) {
  wire::Registers registers = to_registers(map);
  registers.rsi = reinterpret_cast<std::uint64_t>(data.data());
  EmulatedBackdoor(std::move(device)).high_out(registers);
  return to_map(registers);
}

// Sets rdi to a buffer of `room` bytes, whose content is returned with the registers.
std::pair<RegisterMap, py::bytes> high_in(std::shared_ptr<Device> device, const RegisterMap& map,
                                          std::size_t room) {
  wire::Registers registers = to_registers(map);
  std::string buffer(room, '\0');
  registers.rdi = reinterpret_cast<std::uint64_t>(buffer.data());
  EmulatedBackdoor(std::move(device)).high_in(registers);
  return {to_map(registers), to_bytes(buffer)};
}

Time to_time(double seconds) {
  return Time(from_seconds("the deadline", seconds));
}

}  // namespace

void bind_device(py::module_& module) {
  py::native_enum<emulator::MessageKind>(module, "MessageKind", "enum.Enum")
      .value("RPCI", emulator::MessageKind::RPCI)
      .value("TCLO_COMMAND", emulator::MessageKind::TCLO_COMMAND)
      .value("TCLO_REPLY", emulator::MessageKind::TCLO_REPLY)
      .finalize();
  py::native_enum<emulator::Transport>(module, "Transport", "enum.Enum")
      .value("BACKDOOR", emulator::Transport::BACKDOOR)
      .value("VSOCK", emulator::Transport::VSOCK)
      .value("PRIVILEGED_VSOCK", emulator::Transport::PRIVILEGED_VSOCK)
      .finalize();

  using Entry = emulator::TranscriptEntry;
  py::class_<Entry>(module, "TranscriptEntry")
      .def_readonly("kind", &Entry::kind)
      .def_readonly("transport", &Entry::transport)
      .def_property_readonly("time", [](const Entry& entry) { return to_seconds(entry.time); })
      .def_property_readonly("request", [](const Entry& entry) { return to_bytes(entry.request); })
      .def_property_readonly("reply", [](const Entry& entry) { return to_bytes(entry.reply); });

  py::class_<Device, std::shared_ptr<Device>>(module, "Device")
      .def(py::init(&make_device), py::keep_alive<1, 2>(), py::arg("clock"), py::kw_only(),
           py::arg("high_bandwidth") = true, py::arg("cookies") = true,
           py::arg("checkpoint_every") = 0, py::arg("message") = true, py::arg("product") = 2,
           py::arg("dirty_upper_halves") = false, py::arg("secure") = false)
      .def("send_command", &Device::send_command, py::arg("command"))
      .def("set_guestinfo", &Device::set_guestinfo, py::arg("key"), py::arg("value"))
      .def(
          "guestinfo",
          [](const Device& device, const std::string& key) -> std::optional<py::bytes> {
            auto value = device.guestinfo(key);
            return value ? std::optional(to_bytes(*value)) : std::nullopt;
          },
          py::arg("key"))
      .def("answer_with", &Device::answer_with, py::arg("prefix"), py::arg("reply"),
           py::arg("times") = 1, py::arg("whole") = false)
      .def("misbehave", &misbehave, py::arg("step"), py::kw_only(), py::arg("after") = 0,
           py::arg("times") = 1, py::arg("status") = py::none(), py::arg("ebx") = py::none(),
           py::arg("edx_high") = py::none())
      .def(
          "stun",
          [](Device& device, double deadline, bool other_threads) {
            py::gil_scoped_release release;
            return device.stun(to_time(deadline), other_threads);
          },
          py::arg("deadline"), py::kw_only(), py::arg("other_threads") = false)
      .def("resume", &Device::resume)
      .def("in_flight", &Device::in_flight)
      .def("lose_channels", &Device::lose_channels)
      .def("tclo_seen", &Device::tclo_seen)
      .def(
          "wait_for_tools",
          [](Device& device, double deadline) {
            py::gil_scoped_release release;
            return device.wait_for_tools(to_time(deadline));
          },
          py::arg("deadline"))
      .def("end_waits", &Device::end_waits)
      .def("open_channels", &Device::open_channels)
      .def(
          "take_transcript",
          [](Device& device, double deadline) {
            py::gil_scoped_release release;
            return device.take_transcript(to_time(deadline));
          },
          py::arg("deadline") = 0.0)
      .def("messages", &Device::messages)
      .def("traps", &Device::traps)
      .def("low", &low, py::arg("registers"))
      .def("hypercall", &hypercall, py::arg("registers"))
      .def("high_out", &high_out, py::arg("registers"), py::arg("data"))
      .def("high_in", &high_in, py::arg("registers"), py::arg("room"));

  py::class_<EmulatedBackdoor, wire::Backdoor>(module, "EmulatedBackdoor")
      .def(py::init<std::shared_ptr<Device>, bool>(), py::keep_alive<1, 2>(), py::arg("device"),
           py::kw_only(), py::arg("high_bandwidth") = true);
  py::class_<EmulatedHypercall, wire::Backdoor>(module, "EmulatedHypercall")
      .def(py::init([](std::shared_ptr<Device> device, const std::string& instruction,
                       bool high_bandwidth) {
             Carrier carrier = instruction == "vmcall" ? Carrier::VMCALL : Carrier::VMMCALL;
             return std::make_unique<EmulatedHypercall>(std::move(device), carrier, high_bandwidth);
           }),
           py::keep_alive<1, 2>(), py::arg("device"), py::arg("instruction"), py::kw_only(),
           py::arg("high_bandwidth") = true);
}

}  // namespace vmtpy::bind
