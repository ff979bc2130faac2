// confine_process, take_role and the roles of Python's threads.
#include "core/privileges.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_privileges(py::module_& module) {
  py::enum_<Role>(module, "Role").value("MAIN", Role::MAIN).value("STATUS", Role::STATUS);
  module.def("confine_process", &confine_process);
  module.def("take_role", &take_role, py::arg("role"));
  module.def("effective_capabilities", [] { return vmtpy::to_text(effective_capabilities()); });
}

}  // namespace vmtpy::bind
