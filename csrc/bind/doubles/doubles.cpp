// Binds the doubles of tests: a System that fails or stops on request, simulated disks, a clock
// turned by hand, and the controller and descriptor code that tests call directly.
#include <optional>

#include "bind/bind.h"
#include "doubles/faulty_system.h"
#include "doubles/manual_clock.h"
#include "doubles/simulated_disk.h"
#include "doubles/stopping_system.h"
#include "freeze/converge.h"
#include "linux/descriptors.h"

namespace vmtpy::bind {

namespace {

using doubles::FaultySystem;
using doubles::ManualClock;
using doubles::SimulatedDisk;
using doubles::StoppingSystem;

void bind_manual_clock(py::module_& module) {
  py::class_<ManualClock, Clock>(module, "ManualClock")
      .def(py::init<>())
      .def(
          "advance",
          [](ManualClock& clock, double seconds) {
            const Duration by = from_seconds("seconds", seconds);
            py::gil_scoped_release release;
            clock.advance(by);
          },
          py::arg("seconds"))
      .def(
          "jump",
          [](ManualClock& clock, double seconds) {
            clock.jump(from_seconds("seconds", seconds, -MOST_SECONDS));
          },
          py::arg("seconds"))
      .def("waiting", &ManualClock::waiting);
}

void bind_failing_systems(py::module_& module) {
  py::class_<FaultySystem, linux::System>(module, "FaultySystem")
      .def(py::init<linux::System&>(), py::keep_alive<1, 2>(), py::arg("real"))
      .def("fail", &FaultySystem::fail, py::arg("nth"), py::arg("error"), py::arg("for_good"),
           py::arg("call") = "")
      .def("fired", &FaultySystem::fired)
      .def("calls", &FaultySystem::calls);

  py::class_<StoppingSystem, linux::System>(module, "StoppingSystem")
      .def(py::init<linux::System&, std::string>(), py::keep_alive<1, 2>(), py::arg("real"),
           py::arg("path"))
      .def("stop", &StoppingSystem::stop, py::arg("place"))
      .def("stopped", &StoppingSystem::stopped, py::arg("place"))
      .def("let_go", &StoppingSystem::let_go, py::arg("place"));
}

void bind_simulated_disk(py::module_& module) {
  py::class_<SimulatedDisk, linux::System>(module, "SimulatedDisk")
      .def(py::init<std::vector<std::string>>(), py::arg("paths"))
      .def("filesystems", &SimulatedDisk::filesystems)
      .def(
          "write",
          [](SimulatedDisk& disk, const std::string& path) {
            py::gil_scoped_release release;
            return to_seconds(disk.write(path));
          },
          py::arg("path"))
      .def("written", &SimulatedDisk::written, py::arg("path"))
      .def("frozen", &SimulatedDisk::frozen, py::arg("path"))
      .def("thaw_by_someone_else", &SimulatedDisk::thaw_by_someone_else, py::arg("path"))
      .def("hold", &SimulatedDisk::hold, py::arg("path"))
      .def("let_go", &SimulatedDisk::let_go, py::arg("path"))
      .def("refuse_freeze", &SimulatedDisk::refuse_freeze, py::arg("path"), py::arg("error"))
      .def("hold_syncs", &SimulatedDisk::hold_syncs, py::arg("path"))
      .def("let_sync_go", &SimulatedDisk::let_sync_go, py::arg("path"))
      .def("put_storage", &SimulatedDisk::put_storage, py::arg("path"), py::arg("dirty"),
           py::arg("disk_rate"), py::arg("writer_rate"))
      .def("put_limit", &SimulatedDisk::put_limit, py::arg("limit"))
      .def(
          "pass_time",
          [](SimulatedDisk& disk, double seconds) { disk.pass(from_seconds("seconds", seconds)); },
          py::arg("seconds"))
      .def("dirty_at_freeze", &SimulatedDisk::dirty_at_freeze, py::arg("path"))
      .def(
          "longest_stop",
          [](const SimulatedDisk& disk, const std::string& path) {
            return to_seconds(disk.longest_stop(path));
          },
          py::arg("path"))
      .def("files", &SimulatedDisk::files)
      .def("put_file", &SimulatedDisk::put_file, py::arg("path"), py::arg("text"));
}

void bind_convergence(py::module_& module) {
  py::class_<freeze::Convergence>(module, "Convergence")
      .def(py::init([](double goal, double deadline) {
             return freeze::Convergence(from_seconds("goal", goal),
                                        Time{from_seconds("deadline", deadline)});
           }),
           py::arg("goal"), py::arg("deadline"))
      .def(
          "observe",
          [](freeze::Convergence& convergence, double now, std::vector<std::int64_t> dirty,
             std::int64_t written, std::int64_t writing, double kernel_rate,
             std::optional<std::int64_t> written_back) {
            convergence.observe(
                Time{from_seconds("now", now)},
                {std::move(dirty), written, written_back.value_or(written), writing, kernel_rate});
          },
          py::arg("now"), py::kw_only(), py::arg("dirty"), py::arg("written"), py::arg("writing"),
          py::arg("kernel_rate") = 0.0, py::arg("written_back") = py::none())
      .def("begin", &freeze::Convergence::begin)
      .def_property_readonly("bounds", &freeze::Convergence::bounds)
      .def_property_readonly(
          "disk_rate",
          [](const freeze::Convergence& convergence) { return convergence.rates().disk_rate(); })
      .def_property_readonly(
          "writer_rate",
          [](const freeze::Convergence& convergence) { return convergence.rates().writer_rate(); })
      .def_property_readonly(
          "measured",
          [](const freeze::Convergence& convergence) { return convergence.rates().has_measured(); })
      .def_property_readonly("reached", &freeze::Convergence::reached)
      .def_property_readonly("hopeless", &freeze::Convergence::hopeless)
      .def_property_readonly("expected_hold", [](const freeze::Convergence& convergence) {
        return to_seconds(convergence.expected_hold());
      });
}

}  // namespace

void bind_faults(py::module_& module) {
  bind_manual_clock(module);
  bind_failing_systems(module);
  bind_simulated_disk(module);
  bind_convergence(module);
  module.def(
      "close_all_but",
      [](const std::vector<int>& kept) { linux::close_all_but(kept.data(), kept.size()); },
      py::arg("kept"));
}

}  // namespace vmtpy::bind
