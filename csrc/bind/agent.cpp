#include "bind/bind.h"

namespace vmtpy::bind {

void bind_agent(py::module_&) {}

}  // namespace vmtpy::bind
