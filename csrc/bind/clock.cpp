#include "core/clock.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_clock(py::module_& module) {
  py::class_<Clock>(module, "Clock").def("now", [](const Clock& clock) {
    return to_seconds(clock.now());
  });
  py::class_<SteadyClock, Clock>(module, "SteadyClock").def(py::init<>());
}

}  // namespace vmtpy::bind
