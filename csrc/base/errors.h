// The errors of the core, one class for each thing a caller can do about it. vmtpy/errors.py holds
// their Python twins (same names); csrc/bind/base/errors.cpp translates. Seam calls return -errno
// instead: the code that knows the path and the purpose throws.
#pragma once

#include <stdexcept>
#include <string>

namespace vmtpy {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// No VMware backdoor answers here; the text says what was found instead.
struct NotVMwareError : Error {
  using Error::Error;
};

// The host broke off, refused or answered against the protocol; the channel was reset if need be.
struct ChannelError : Error {
  using Error::Error;
};

// A message is larger than the wire allows. Nothing was sent.
struct MessageSizeError : Error {
  using Error::Error;
};

// It cannot be decided what to freeze, or what was asked for does not exist.
struct PlanError : Error {
  using Error::Error;
};

// A system call failed: "FIFREEZE /var: Device or resource busy".
struct SystemError : Error {
  SystemError(std::string call_name, std::string file, int error_number);
  std::string call;
  std::string path;
  int code;  // errno, positive
};

}  // namespace vmtpy
