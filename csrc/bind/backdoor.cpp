#include "core/backdoor.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_backdoor(py::module_& module) { py::class_<Backdoor>(module, "Backdoor"); }

}  // namespace vmtpy::bind
