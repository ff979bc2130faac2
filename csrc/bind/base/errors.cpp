// Turns C++ exceptions into the Python exceptions of the same names. It relies on vmtpy/errors.py,
// which is imported only when an error is raised.
#include "base/errors.h"

#include <exception>
#include <utility>

#include "bind/bind.h"
#include "bind/text.h"

namespace vmtpy::bind {

namespace {

void raise(const char* name, const Error& error) {
  py::object type = py::module_::import("vmtpy.errors").attr(name);
  PyErr_SetObject(type.ptr(), type(to_text(error.what())).ptr());
}

void raise(const SystemError& error) {
  py::object type = py::module_::import("vmtpy.errors").attr("SystemCallError");
  PyErr_SetObject(type.ptr(), type(error.call, to_text(error.path), error.code).ptr());
}

void translate(std::exception_ptr pending) {
  try {
    std::rethrow_exception(std::move(pending));
  } catch (const ChannelError& error) {
    raise("ChannelError", error);
  } catch (const MessageSizeError& error) {
    raise("MessageSizeError", error);
  } catch (const PlanError& error) {
    raise("PlanError", error);
  } catch (const SystemError& error) {
    raise(error);
  } catch (const Error& error) {
    raise("VmtError", error);
  }
}

}  // namespace

void bind_errors(py::module_&) {
  py::register_exception_translator(translate);
}

}  // namespace vmtpy::bind
