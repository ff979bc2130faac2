// Filesystem, LeftOut, Plan, PlanRequest, PlanSources, make_plan.
#include "core/plan.h"

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

namespace {

void bind_filesystem(py::module_& module) {
  py::class_<Filesystem>(module, "Filesystem")
      .def(py::init([](const FsText& path, std::uint64_t mount_id, const FsText& device,
                       const FsText& type, const FsText& source, int level, bool sync_only,
                       const FsTexts& also, const FsTexts& stands_on, const FsTexts& mapped,
                       const FsTexts& disks) {
             return Filesystem{
                 path.value, mount_id,  0,           device.value,     type.value,    source.value,
                 level,      sync_only, plain(also), plain(stands_on), plain(mapped), plain(disks)};
           }),
           py::arg("path"), py::kw_only(), py::arg("mount_id") = 0, py::arg("device") = FsText{},
           py::arg("type") = FsText{}, py::arg("source") = FsText{}, py::arg("level") = 0,
           py::arg("sync_only") = false, py::arg("also") = FsTexts{},
           py::arg("stands_on") = FsTexts{}, py::arg("mapped") = FsTexts{},
           py::arg("disks") = FsTexts{})
      .def_property_readonly("path", text(&Filesystem::path))
      .def_readonly("mount_id", &Filesystem::mount_id)
      .def_readonly("unique_id", &Filesystem::unique_id)
      .def_property_readonly("device", text(&Filesystem::device))
      .def_property_readonly("type", text(&Filesystem::type))
      .def_property_readonly("source", text(&Filesystem::source))
      .def_readonly("level", &Filesystem::level)
      .def_readonly("sync_only", &Filesystem::sync_only)
      .def_property_readonly("also", texts(&Filesystem::also))
      .def_property_readonly("stands_on", texts(&Filesystem::stands_on))
      .def_property_readonly("mapped", texts(&Filesystem::mapped))
      .def_property_readonly("disks", texts(&Filesystem::disks))
      .def("__repr__", [](const Filesystem& filesystem) {
        return to_text("<Filesystem " + filesystem.path + " (" + filesystem.type + " " +
                       filesystem.device + ", level " + std::to_string(filesystem.level) +
                       (filesystem.sync_only ? ", sync only)>" : ")>"));
      });
}

void bind_result(py::module_& module) {
  py::enum_<Cause>(module, "Cause")
      .value("NONE", Cause::NONE)
      .value("PSEUDO", Cause::PSEUDO)
      .value("MEMORY", Cause::MEMORY)
      .value("LAYERED", Cause::LAYERED)
      .value("READ_ONLY", Cause::READ_ONLY)
      .value("NETWORK", Cause::NETWORK)
      .value("FUSE", Cause::FUSE)
      .value("UNSUPPORTED", Cause::UNSUPPORTED)
      .value("UNREACHABLE", Cause::UNREACHABLE)
      .value("EXCLUDED", Cause::EXCLUDED)
      .value("NOT_INCLUDED", Cause::NOT_INCLUDED)
      .value("NOT_REQUESTED", Cause::NOT_REQUESTED);
  py::class_<LeftOut>(module, "LeftOut")
      .def_property_readonly("path", text(&LeftOut::path))
      .def_property_readonly("device", text(&LeftOut::device))
      .def_property_readonly("type", text(&LeftOut::type))
      .def_readonly("cause", &LeftOut::cause)
      .def_property_readonly("reason", text(&LeftOut::reason))
      .def_readonly("writable", &LeftOut::writable)
      .def("__repr__", [](const LeftOut& left) {
        return to_text("<LeftOut " + left.path + " (" + left.type + "): " + left.reason + ">");
      });
  py::class_<Plan>(module, "Plan")
      .def(py::init([](std::vector<Filesystem> filesystems, std::vector<LeftOut> left_out) {
             Plan plan;
             plan.filesystems = std::move(filesystems);
             plan.left_out = std::move(left_out);
             return plan;
           }),
           py::arg("filesystems"), py::arg("left_out") = std::vector<LeftOut>{})
      .def_readonly("filesystems", &Plan::filesystems)
      .def_readonly("left_out", &Plan::left_out)
      .def_property_readonly("unmatched", texts(&Plan::unmatched))
      .def_property_readonly("notes", texts(&Plan::notes))
      .def("__repr__", [](const Plan& plan) {
        return "<Plan: " + std::to_string(plan.filesystems.size()) + " filesystems, " +
               std::to_string(plan.left_out.size()) + " left out>";
      });
}

void bind_request(py::module_& module) {
  py::class_<PlanRequest>(module, "PlanRequest")
      .def(py::init([](const FsTexts& include, const FsTexts& exclude, const FsTexts& volumes) {
             return PlanRequest{plain(include), plain(exclude), plain(volumes)};
           }),
           py::kw_only(), py::arg("include") = FsTexts{}, py::arg("exclude") = FsTexts{},
           py::arg("volumes") = FsTexts{})
      .def_property_readonly("include", texts(&PlanRequest::include))
      .def_property_readonly("exclude", texts(&PlanRequest::exclude))
      .def_property_readonly("volumes", texts(&PlanRequest::volumes));
  const PlanSources usual;
  py::class_<PlanSources>(module, "PlanSources")
      .def(py::init([](const FsText& mountinfo, const FsText& swaps, const FsText& sys,
                       const FsText& dev, const FsText& root) {
             return PlanSources{mountinfo.value, swaps.value, sys.value, dev.value, root.value};
           }),
           py::kw_only(), py::arg("mountinfo") = FsText{usual.mountinfo},
           py::arg("swaps") = FsText{usual.swaps}, py::arg("sys") = FsText{usual.sys},
           py::arg("dev") = FsText{usual.dev}, py::arg("root") = FsText{usual.root});
}

}  // namespace

void bind_plan(py::module_& module) {
  bind_filesystem(module);
  bind_result(module);
  bind_request(module);
  module.def("make_plan", &make_plan, py::arg("request") = PlanRequest{},
             py::arg("sources") = PlanSources{}, ReleaseGil());
}

}  // namespace vmtpy::bind
