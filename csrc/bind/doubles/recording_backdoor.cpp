// Binds RecordingBackdoor, for tests of what exactly goes over the wire. It relies on
// bind/emulator/registers.h to show registers as dicts.
#include "doubles/recording_backdoor.h"

#include "bind/bind.h"
#include "bind/emulator/registers.h"

namespace vmtpy::bind {

namespace {

using doubles::Frame;
using doubles::RecordingBackdoor;

const char* name_of(emulator::Instruction instruction) {
  if (instruction == emulator::Instruction::LOW) return "in";
  return instruction == emulator::Instruction::HIGH_OUT ? "rep outsb" : "rep insb";
}

}  // namespace

void bind_recorder(py::module_& module) {
  py::class_<Frame>(module, "Frame")
      .def_property_readonly("instruction",
                             [](const Frame& frame) { return name_of(frame.instruction); })
      .def_property_readonly("before", [](const Frame& frame) { return to_map(frame.before); })
      .def_property_readonly("after", [](const Frame& frame) { return to_map(frame.after); });
  py::class_<RecordingBackdoor, wire::Backdoor>(module, "RecordingBackdoor")
      .def(py::init<wire::Backdoor&>(), py::keep_alive<1, 2>(), py::arg("inner"))
      .def(
          "change",
          [](RecordingBackdoor& recorder, std::size_t nth, const std::string& name,
             std::uint64_t value) { recorder.change(nth, REGISTERS.at(name), value); },
          py::arg("nth"), py::arg("register"), py::arg("value"))
      .def("break_down", &RecordingBackdoor::break_down, py::arg("times"))
      .def("allow_privilege", &RecordingBackdoor::allow_privilege)
      .def("frames", &RecordingBackdoor::frames)
      .def("privileges", &RecordingBackdoor::privileges);
}

}  // namespace vmtpy::bind
