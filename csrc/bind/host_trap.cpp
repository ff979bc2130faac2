#include "bind/bind.h"

namespace vmtpy::bind {

void bind_trap(py::module_&) {}

}  // namespace vmtpy::bind
