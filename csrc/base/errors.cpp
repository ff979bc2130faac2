// Composes the text of a failed system call: the call, the path and the kernel's reason. It serves
// logs, records and Python's exceptions.
#include "base/errors.h"

#include <system_error>
#include <utility>

namespace vmtpy {

SystemError::SystemError(std::string call_name, std::string file, int error_number)
    : Error(call_name + (file.empty() ? "" : " " + file) + ": " +
            std::generic_category().message(error_number)),
      call(std::move(call_name)),
      path(std::move(file)),
      code(error_number) {}

}  // namespace vmtpy
