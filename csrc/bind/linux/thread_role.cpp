// Binds confine_process, take_role and the roles of Python's threads. It serves `vmtpy run`; the
// other roles are taken in C++.
#include "linux/thread_role.h"

#include "bind/bind.h"

namespace vmtpy::bind {

void bind_thread_role(py::module_& module) {
  py::native_enum<linux::Role>(module, "Role", "enum.Enum")
      .value("MAIN", linux::Role::MAIN)
      .value("STATUS", linux::Role::STATUS)
      .finalize();
  module.def("confine_process", &linux::confine_process);
  module.def("take_role", &linux::take_role, py::arg("role"));
  module.def("effective_capabilities",
             [] { return linux::to_text(linux::effective_capabilities()); });
}

}  // namespace vmtpy::bind
