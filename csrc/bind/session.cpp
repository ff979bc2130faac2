#include "core/os.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_session(py::module_& module) { py::class_<Os>(module, "Os"); }

}  // namespace vmtpy::bind
