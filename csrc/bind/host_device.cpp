#include "bind/bind.h"

namespace vmtpy::bind {

void bind_device(py::module_&) {}

}  // namespace vmtpy::bind
