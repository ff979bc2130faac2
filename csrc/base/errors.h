// The errors of the core, with one class for each thing that a caller can do about an error. The
// Python classes in vmtpy/errors.py have the same names, and csrc/bind/base/errors.cpp translates.
// Calls of a seam return -errno instead; the code that knows the path and the purpose throws.
#pragma once

#include <stdexcept>
#include <string>

namespace vmtpy {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The host broke off, refused, or answered against the protocol. The channel has been reset where
// that was needed.
struct ChannelError : Error {
  using Error::Error;
};

// A message is larger than the wire allows. Nothing was sent.
struct MessageSizeError : Error {
  using Error::Error;
};

// What to freeze cannot be decided, or what the caller asked for does not exist.
struct PlanError : Error {
  using Error::Error;
};

// A system call failed. The text is "FIFREEZE /var: Device or resource busy".
struct SystemError : Error {
  SystemError(std::string call_name, std::string file, int error_number);
  std::string call;
  std::string path;
  int code;  // the errno, positive
};

}  // namespace vmtpy
