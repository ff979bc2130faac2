#include "bind/bind.h"

namespace vmtpy::bind {

void bind_session(py::module_&) {}

}  // namespace vmtpy::bind
