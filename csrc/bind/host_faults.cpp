#include "bind/bind.h"

namespace vmtpy::bind {

void bind_faults(py::module_&) {}

}  // namespace vmtpy::bind
