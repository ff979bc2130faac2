#include "bind/bind.h"

namespace vmtpy::bind {

void bind_rpci(py::module_&) {}

}  // namespace vmtpy::bind
