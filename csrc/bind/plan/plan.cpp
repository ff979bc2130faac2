// Binds Filesystem, LeftOut, Plan, PlanRequest, PlanSources and make_plan. It serves vmtpy._plan,
// and tests that plan for a machine of their own.
#include "plan/plan.h"

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

namespace {

void bind_filesystem(py::module_& module) {
  py::class_<plan::Filesystem>(module, "Filesystem")
      .def(py::init([](const FsText& path, std::uint64_t mount_id, const FsText& device,
                       const FsText& type, const FsText& source, int level, bool sync_only,
                       const FsTexts& also, const FsTexts& stands_on, const FsTexts& mapped,
                       const FsTexts& disks, const FsTexts& bdis, const FsTexts& sinks,
                       bool behind_server) {
             return plan::Filesystem{
                 path.value,    mount_id,     0,           device.value, type.value,
                 source.value,  level,        sync_only,   plain(also),  plain(stands_on),
                 plain(mapped), plain(disks), plain(bdis), plain(sinks), behind_server};
           }),
           py::arg("path"), py::kw_only(), py::arg("mount_id") = 0, py::arg("device") = FsText{},
           py::arg("type") = FsText{}, py::arg("source") = FsText{}, py::arg("level") = 0,
           py::arg("sync_only") = false, py::arg("also") = FsTexts{},
           py::arg("stands_on") = FsTexts{}, py::arg("mapped") = FsTexts{},
           py::arg("disks") = FsTexts{}, py::arg("bdis") = FsTexts{}, py::arg("sinks") = FsTexts{},
           py::arg("behind_server") = false)
      .def_property_readonly("path", text(&plan::Filesystem::path))
      .def_readonly("mount_id", &plan::Filesystem::mount_id)
      .def_readonly("unique_id", &plan::Filesystem::unique_id)
      .def_property_readonly("device", text(&plan::Filesystem::device))
      .def_property_readonly("type", text(&plan::Filesystem::type))
      .def_property_readonly("source", text(&plan::Filesystem::source))
      .def_readonly("level", &plan::Filesystem::level)
      .def_readonly("sync_only", &plan::Filesystem::sync_only)
      .def_property_readonly("also", texts(&plan::Filesystem::also))
      .def_property_readonly("stands_on", texts(&plan::Filesystem::stands_on))
      .def_property_readonly("mapped", texts(&plan::Filesystem::mapped))
      .def_property_readonly("disks", texts(&plan::Filesystem::disks))
      .def_property_readonly("bdis", texts(&plan::Filesystem::bdis))
      .def_property_readonly("sinks", texts(&plan::Filesystem::sinks))
      .def_readonly("behind_server", &plan::Filesystem::behind_server)
      .def("__repr__", [](const plan::Filesystem& filesystem) {
        return to_text("<Filesystem " + filesystem.path + " (" + filesystem.type + " " +
                       filesystem.device + ", level " + std::to_string(filesystem.level) +
                       (filesystem.sync_only ? ", sync only)>" : ")>"));
      });
}

void bind_result(py::module_& module) {
  py::native_enum<plan::Cause>(
      module, "Cause", "enum.Enum",
      "Why a filesystem is not frozen.\n\n"
      "PSEUDO: it holds no data, as proc. MEMORY: it is in memory, as tmpfs.\n"
      "LAYERED: its files lie on others, as overlay. READ_ONLY: nobody can write to it.\n"
      "NETWORK: its data are on another machine. FUSE: a program provides it.\n"
      "UNSUPPORTED: it cannot be frozen. UNREACHABLE: another mount hides it, or nothing is\n"
      "known of its device. EXCLUDED: an exclude matches. NOT_INCLUDED: no include matches.\n"
      "NOT_REQUESTED: other volumes were asked for. NONE: it is not left out.")
      .value("NONE", plan::Cause::NONE)
      .value("PSEUDO", plan::Cause::PSEUDO)
      .value("MEMORY", plan::Cause::MEMORY)
      .value("LAYERED", plan::Cause::LAYERED)
      .value("READ_ONLY", plan::Cause::READ_ONLY)
      .value("NETWORK", plan::Cause::NETWORK)
      .value("FUSE", plan::Cause::FUSE)
      .value("UNSUPPORTED", plan::Cause::UNSUPPORTED)
      .value("UNREACHABLE", plan::Cause::UNREACHABLE)
      .value("EXCLUDED", plan::Cause::EXCLUDED)
      .value("NOT_INCLUDED", plan::Cause::NOT_INCLUDED)
      .value("NOT_REQUESTED", plan::Cause::NOT_REQUESTED)
      .finalize();
  py::class_<plan::LeftOut>(module, "LeftOut")
      .def_property_readonly("path", text(&plan::LeftOut::path))
      .def_property_readonly("device", text(&plan::LeftOut::device))
      .def_property_readonly("type", text(&plan::LeftOut::type))
      .def_readonly("cause", &plan::LeftOut::cause)
      .def_property_readonly("reason", text(&plan::LeftOut::reason))
      .def_readonly("writable", &plan::LeftOut::writable)
      .def("__repr__", [](const plan::LeftOut& left) {
        return to_text("<LeftOut " + left.path + " (" + left.type + "): " + left.reason + ">");
      });
  py::class_<plan::Plan>(module, "Plan")
      .def(py::init(
               [](std::vector<plan::Filesystem> filesystems, std::vector<plan::LeftOut> left_out) {
                 plan::Plan plan;
                 plan.filesystems = std::move(filesystems);
                 plan.left_out = std::move(left_out);
                 return plan;
               }),
           py::arg("filesystems"), py::arg("left_out") = std::vector<plan::LeftOut>{})
      .def_readonly("filesystems", &plan::Plan::filesystems)
      .def_readonly("left_out", &plan::Plan::left_out)
      .def_property_readonly("unmatched", texts(&plan::Plan::unmatched))
      .def_property_readonly("notes", texts(&plan::Plan::notes))
      .def("__repr__", [](const plan::Plan& plan) {
        return "<Plan: " + std::to_string(plan.filesystems.size()) + " filesystems, " +
               std::to_string(plan.left_out.size()) + " left out>";
      });
}

void bind_request(py::module_& module) {
  py::class_<plan::PlanRequest>(module, "PlanRequest")
      .def(py::init([](const FsTexts& include, const FsTexts& exclude, const FsTexts& volumes) {
             return plan::PlanRequest{plain(include), plain(exclude), plain(volumes)};
           }),
           py::kw_only(), py::arg("include") = FsTexts{}, py::arg("exclude") = FsTexts{},
           py::arg("volumes") = FsTexts{})
      .def_property_readonly("include", texts(&plan::PlanRequest::include))
      .def_property_readonly("exclude", texts(&plan::PlanRequest::exclude))
      .def_property_readonly("volumes", texts(&plan::PlanRequest::volumes));
  const plan::PlanSources usual;
  py::class_<plan::PlanSources>(module, "PlanSources")
      .def(py::init([](const FsText& mountinfo, const FsText& swaps, const FsText& sys,
                       const FsText& dev, const FsText& root) {
             return plan::PlanSources{mountinfo.value, swaps.value, sys.value, dev.value,
                                      root.value};
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
  module.def("make_plan", &plan::make_plan, py::arg("request") = plan::PlanRequest{},
             py::arg("sources") = plan::PlanSources{}, ReleaseGil());
}

}  // namespace vmtpy::bind
