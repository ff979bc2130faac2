// thaw_from_markers.
#include "bind/bind.h"
#include "bind/text.h"
#include "core/rescue.h"

namespace vmtpy::bind {

namespace {

std::vector<RescueResult> rescue(Os& os, const FsText& run_directory, bool force, double patience) {
  const Duration longest = from_seconds("patience", patience);
  py::gil_scoped_release release;
  return thaw_from_markers(os, run_directory.value, force, longest);
}

}  // namespace

void bind_marker(py::module_& module) {
  py::enum_<Rescue>(module, "Rescue")
      .value("THAWED", Rescue::THAWED)
      .value("NOT_FROZEN", Rescue::NOT_FROZEN)
      .value("NOT_MOUNTED", Rescue::NOT_MOUNTED)
      .value("STALE", Rescue::STALE)
      .value("REFUSED", Rescue::REFUSED)
      .value("FAILED", Rescue::FAILED);
  py::class_<RescueResult>(module, "RescueResult")
      .def_readonly("result", &RescueResult::result)
      .def_property_readonly("marker",
                             [](const RescueResult& result) { return to_text(result.marker); })
      .def_property_readonly("path",
                             [](const RescueResult& result) { return to_text(result.path); })
      .def_readonly("device", &RescueResult::device)
      .def_property_readonly("text",
                             [](const RescueResult& result) { return to_text(result.text); });
  module.def("thaw_from_markers", &rescue, py::arg("os"),
             py::arg("run_directory") = FsText{"/run/vmtpy"}, py::arg("force") = false,
             py::arg("patience") = 10.0);
}

}  // namespace vmtpy::bind
