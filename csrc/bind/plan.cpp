#include "bind/bind.h"

namespace vmtpy::bind {

void bind_plan(py::module_&) {}

}  // namespace vmtpy::bind
