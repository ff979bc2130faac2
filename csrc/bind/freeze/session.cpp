// Binds System, FreezeOptions and FreezeSession. It serves vmtpy._freeze and the agent, and keeps
// alive what a stuck thread may use.
#include "freeze/session.h"

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

namespace {

// Limits in seconds. Nobody means to freeze anything for longer than a day.
constexpr double SHORTEST = 0.001;
constexpr double LONGEST = 86400.0;

// Waits that Python can interrupt return this often to look for signals.
constexpr Duration SLICE = std::chrono::milliseconds(100);

Clock& steady_clock() {
  static SteadyClock& clock = *new SteadyClock;
  return clock;
}

// Makes a session and keeps `system` and `clock` for ever, because a thread of the session that is
// stuck in the kernel may use them after the session is gone.
std::shared_ptr<freeze::FreezeSession> make_session(const py::object& system,
                                                    const py::object& clock,
                                                    std::vector<plan::Filesystem> filesystems,
                                                    const freeze::FreezeOptions& options) {
  system.inc_ref();
  clock.inc_ref();
  Clock& used = clock.is_none() ? steady_clock() : clock.cast<Clock&>();
  return {new freeze::FreezeSession(system.cast<linux::System&>(), used, std::move(filesystems),
                                    options),
          DeleteUnlocked<freeze::FreezeSession>()};
}

bool wait_for(freeze::FreezeSession& session, freeze::Phase phase, double timeout) {
  const Time deadline = std::chrono::steady_clock::now() + from_seconds("timeout", timeout);
  for (;;) {
    const Time now = std::chrono::steady_clock::now();
    {
      py::gil_scoped_release release;
      if (session.wait_for(phase, std::min(deadline, now + SLICE))) return true;
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (now >= deadline) return false;
  }
}

freeze::FreezeOptions make_options(double timeout, double filesystem_timeout,
                                   double presync_timeout, bool expedite_rcu, bool guardian,
                                   const FsText& run_directory,
                                   freeze::AlreadyFrozen already_frozen,
                                   std::vector<plan::LeftOut> left_out, double stall_goal,
                                   freeze::Converge converge) {
  return {from_seconds("timeout", timeout, SHORTEST, LONGEST),
          from_seconds("filesystem_timeout", filesystem_timeout, SHORTEST, LONGEST),
          from_seconds("presync_timeout", presync_timeout, 0.0, LONGEST),
          expedite_rcu,
          guardian,
          run_directory.value,
          already_frozen,
          std::move(left_out),
          from_seconds("stall_goal", stall_goal, SHORTEST, LONGEST),
          converge};
}

void bind_freeze_options(py::module_& module) {
  py::native_enum<freeze::AlreadyFrozen>(module, "AlreadyFrozen", "enum.Enum")
      .value("ERROR", freeze::AlreadyFrozen::ERROR)
      .value("ACCEPT", freeze::AlreadyFrozen::ACCEPT)
      .finalize();
  py::native_enum<freeze::Converge>(module, "Converge", "enum.Enum")
      .value("OFF", freeze::Converge::OFF)
      .value("AUTO", freeze::Converge::AUTO)
      .value("GLOBAL", freeze::Converge::GLOBAL)
      .finalize();
  const freeze::FreezeOptions usual;
  py::class_<freeze::FreezeOptions>(module, "FreezeOptions")
      .def(py::init(&make_options), py::kw_only(), py::arg("timeout") = to_seconds(usual.timeout),
           py::arg("filesystem_timeout") = to_seconds(usual.filesystem_timeout),
           py::arg("presync_timeout") = to_seconds(usual.presync_timeout),
           py::arg("expedite_rcu") = usual.expedite_rcu, py::arg("guardian") = usual.guardian,
           py::arg("run_directory") = FsText{usual.run_directory},
           py::arg("already_frozen") = usual.already_frozen,
           py::arg("left_out") = std::vector<plan::LeftOut>{},
           py::arg("stall_goal") = to_seconds(usual.stall_goal),
           py::arg("converge") = usual.converge);
}

}  // namespace

void bind_session(py::module_& module) {
  static_cast<void>(py::class_<linux::System>(module, "System"));
  module.def("real_system", &linux::real_system, py::return_value_policy::reference);
  bind_freeze_options(module);

  py::native_enum<freeze::Phase>(module, "Phase", "enum.Enum")
      .value("NEW", freeze::Phase::NEW)
      .value("PREPARING", freeze::Phase::PREPARING)
      .value("FREEZING", freeze::Phase::FREEZING)
      .value("FROZEN", freeze::Phase::FROZEN)
      .value("THAWING", freeze::Phase::THAWING)
      .value("ENDED", freeze::Phase::ENDED)
      .finalize();

  py::class_<freeze::FreezeSession, std::shared_ptr<freeze::FreezeSession>>(module, "FreezeSession")
      .def(py::init(&make_session), py::arg("system"), py::arg("clock"), py::arg("filesystems"),
           py::arg("options") = freeze::FreezeOptions())
      .def("start", &freeze::FreezeSession::start, ReleaseGil())
      .def("release", &freeze::FreezeSession::release, ReleaseGil())
      .def("abort", &freeze::FreezeSession::abort, py::arg("reason"), ReleaseGil())
      .def("phase", &freeze::FreezeSession::phase, ReleaseGil())
      .def("event_fd", &freeze::FreezeSession::event_fd)
      .def("clear_event", &freeze::FreezeSession::clear_event)
      .def("wait_for", &wait_for, py::arg("phase"), py::arg("timeout"))
      .def("wait_until_ended", &freeze::FreezeSession::wait_until_ended, ReleaseGil())
      .def("record", &freeze::FreezeSession::record, ReleaseGil());
}

}  // namespace vmtpy::bind
