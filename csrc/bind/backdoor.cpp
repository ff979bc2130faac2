#include "bind/bind.h"

namespace vmtpy::bind {

void bind_backdoor(py::module_&) {}

}  // namespace vmtpy::bind
