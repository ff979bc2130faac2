// Binds thaw_from_markers. It serves `vmtpy thaw` and the start of the agent, which turn its
// results into lines for people.
#include "bind/bind.h"
#include "bind/text.h"
#include "freeze/rescue.h"

namespace vmtpy::bind {

namespace {

std::vector<freeze::RescueResult> rescue(linux::System& system, const FsText& run_directory,
                                         bool force, double patience) {
  const Duration longest = from_seconds("patience", patience);
  py::gil_scoped_release release;
  return freeze::thaw_from_markers(system, run_directory.value, force, longest);
}

}  // namespace

void bind_marker(py::module_& module) {
  py::native_enum<freeze::Rescue>(module, "Rescue", "enum.Enum")
      .value("THAWED", freeze::Rescue::THAWED)
      .value("NOT_FROZEN", freeze::Rescue::NOT_FROZEN)
      .value("NOT_MOUNTED", freeze::Rescue::NOT_MOUNTED)
      .value("STALE", freeze::Rescue::STALE)
      .value("REFUSED", freeze::Rescue::REFUSED)
      .value("FAILED", freeze::Rescue::FAILED)
      .finalize();
  py::class_<freeze::RescueResult>(module, "RescueResult")
      .def_readonly("result", &freeze::RescueResult::result)
      .def_property_readonly(
          "marker", [](const freeze::RescueResult& result) { return to_text(result.marker); })
      .def_property_readonly(
          "path", [](const freeze::RescueResult& result) { return to_text(result.path); })
      .def_readonly("device", &freeze::RescueResult::device)
      .def_property_readonly(
          "text", [](const freeze::RescueResult& result) { return to_text(result.text); });
  module.def("thaw_from_markers", &rescue, py::arg("system"),
             py::arg("run_directory") = FsText{"/run/vmtpy"}, py::arg("force") = false,
             py::arg("patience") = 10.0);
}

}  // namespace vmtpy::bind
