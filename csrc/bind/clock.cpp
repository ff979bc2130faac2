// Clock, SteadyClock; the functions of the wall clock.
#include "core/clock.h"

#include "bind/bind.h"
#include "core/wall_clock.h"

namespace vmtpy::bind {

void bind_clock(py::module_& module) {
  py::class_<Clock>(module, "Clock").def("now", [](const Clock& clock) {
    return to_seconds(clock.now());
  });
  py::class_<SteadyClock, Clock>(module, "SteadyClock").def(py::init<>());
  module.def("wall_clock_is_kept", wall_clock_is_kept);
  module.def("step_wall_clock", step_wall_clock, py::arg("by_us"));
  module.def("slew_wall_clock", slew_wall_clock, py::arg("by_us"));
}

}  // namespace vmtpy::bind
