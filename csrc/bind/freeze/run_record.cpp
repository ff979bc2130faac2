// Binds Outcome, FilesystemRun and RunRecord, which are read-only. Durations are seconds, and times
// are those of time.monotonic(), 0.0 where the run did not get there.
#include "freeze/run_record.h"

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

namespace {

template <typename Class, typename Value>
auto seconds(Value Class::*member) {
  return [member](const Class& object) { return to_seconds(object.*member); };
}

void bind_filesystem_run(py::module_& module) {
  using Run = freeze::FilesystemRun;
  py::class_<Run>(module, "FilesystemRun")
      .def_property_readonly("path", text(&Run::path))
      .def_readonly("device", &Run::device)
      .def_readonly("type", &Run::type)
      .def_readonly("level", &Run::level)
      .def_readonly("sync_only", &Run::sync_only)
      .def_property_readonly("presync", seconds(&Run::presync))
      .def_readonly("presync_rounds", &Run::presync_rounds)
      .def_property_readonly("freeze", seconds(&Run::freeze))
      .def_property_readonly("frozen", seconds(&Run::frozen))
      .def_property_readonly("thaw", seconds(&Run::thaw))
      .def_property_readonly("waited", seconds(&Run::waited))
      .def_readonly("dirty_before", &Run::dirty_before)
      .def_readonly("dirty_left", &Run::dirty_left)
      .def_readonly("disk_rate", &Run::disk_rate)
      .def_readonly("writer_rate", &Run::writer_rate)
      .def_property_readonly("expected_hold", seconds(&Run::expected_hold))
      .def_property_readonly("paced", seconds(&Run::paced))
      .def_readonly("error", &Run::error)
      .def_readonly("call", &Run::call)
      .def_property_readonly("note", text(&Run::note))
      .def("__repr__", [](const Run& run) {
        const std::string problem = run.error ? ", " + run.call + " failed" : "";
        return to_text("<FilesystemRun " + run.path + " (" + run.type + " " + run.device + ")" +
                       problem + ">");
      });
}

}  // namespace

void bind_record(py::module_& module) {
  py::native_enum<freeze::Outcome>(
      module, "Outcome", "enum.Enum",
      "How a freeze ended.\n\n"
      "RELEASED: everything was frozen until the thaw was asked for. ABORTED: it was given up on\n"
      "request. FAILED: something could not be frozen. EXPIRED: the limit struck first. LOST:\n"
      "someone else thawed a filesystem. NONE: it has not ended.")
      .value("NONE", freeze::Outcome::NONE)
      .value("RELEASED", freeze::Outcome::RELEASED)
      .value("ABORTED", freeze::Outcome::ABORTED)
      .value("FAILED", freeze::Outcome::FAILED)
      .value("EXPIRED", freeze::Outcome::EXPIRED)
      .value("LOST", freeze::Outcome::LOST)
      .finalize();
  bind_filesystem_run(module);
  py::class_<freeze::RunRecord>(module, "RunRecord")
      .def_readonly("outcome", &freeze::RunRecord::outcome)
      .def_property_readonly("error", text(&freeze::RunRecord::error))
      .def_readonly("code", &freeze::RunRecord::code)
      .def_property_readonly("path", text(&freeze::RunRecord::path))
      .def_readonly("started_unix_ns", &freeze::RunRecord::started_unix_ns)
      .def_property_readonly("started", seconds(&freeze::RunRecord::started))
      .def_property_readonly("presynced", seconds(&freeze::RunRecord::presynced))
      .def_property_readonly("first_freeze", seconds(&freeze::RunRecord::first_freeze))
      .def_property_readonly("all_frozen", seconds(&freeze::RunRecord::all_frozen))
      .def_property_readonly("release_asked", seconds(&freeze::RunRecord::release_asked))
      .def_property_readonly("all_thawed", seconds(&freeze::RunRecord::all_thawed))
      .def_property_readonly("limit", seconds(&freeze::RunRecord::limit))
      .def_readonly("rcu_expedited", &freeze::RunRecord::rcu_expedited)
      .def_readonly("dirty_before", &freeze::RunRecord::dirty_before)
      .def_readonly("dirty_left", &freeze::RunRecord::dirty_left)
      .def_readonly("dirty_source", &freeze::RunRecord::dirty_source)
      .def_readonly("rate_source", &freeze::RunRecord::rate_source)
      .def_property_readonly(
          "warnings", [](const freeze::RunRecord& record) { return to_texts(record.warnings); })
      .def_readonly("filesystems", &freeze::RunRecord::filesystems)
      .def_readonly("left_out", &freeze::RunRecord::left_out)
      .def("__repr__", [](const freeze::RunRecord& record) {
        return to_text("<RunRecord of " + std::to_string(record.filesystems.size()) +
                       " filesystems" + (record.error.empty() ? "" : ": " + record.error) + ">");
      });
}

}  // namespace vmtpy::bind
