#include "core/errors.h"

#include <cstring>
#include <utility>

namespace vmtpy {

SystemError::SystemError(std::string call_name, std::string file, int error_number)
    : Error(call_name + (file.empty() ? "" : " " + file) + ": " + std::strerror(error_number)),
      call(std::move(call_name)),
      path(std::move(file)),
      code(error_number) {}

}  // namespace vmtpy
