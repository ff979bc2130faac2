// Binds Clock, SteadyClock and the functions of the wall clock. It serves the time service, and
// tests that give a clock to others.
#include "base/clock.h"

#include "bind/bind.h"
#include "linux/wall_clock.h"

namespace vmtpy::bind {

void bind_clock(py::module_& module) {
  py::class_<Clock>(module, "Clock").def("now", [](const Clock& clock) {
    return to_seconds(clock.now());
  });
  py::class_<SteadyClock, Clock>(module, "SteadyClock").def(py::init<>());
  module.def("wall_clock_is_kept", linux::wall_clock_is_kept);
  module.def("step_wall_clock", linux::step_wall_clock, py::arg("by_us"));
  module.def("slew_wall_clock", linux::slew_wall_clock, py::arg("by_us"));
}

}  // namespace vmtpy::bind
