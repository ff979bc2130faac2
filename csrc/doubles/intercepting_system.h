// A System that passes each call on to another one, between two functions of the double that is
// derived from it.
#pragma once

#include <string>
#include <string_view>

#include "linux/system.h"

namespace vmtpy::doubles {

// Owned like what is derived from it. It has no lock, so the two functions may be called by any
// thread.
class InterceptingSystem : public linux::System {
 public:
  explicit InterceptingSystem(linux::System& real) : real_(real) {}

  int open_directory(const std::string& path) override {
    return pass(OPEN_DIRECTORY, [&] { return real_.open_directory(path); });
  }
  int close(int descriptor) override {
    return pass(CLOSE, [&] { return real_.close(descriptor); });
  }
  int mount_id(int descriptor, linux::MountId& id) override {
    return pass(MOUNT_ID, [&] { return real_.mount_id(descriptor, id); });
  }
  int sync(int descriptor) override {
    return pass(SYNC, [&] { return real_.sync(descriptor); });
  }
  int freeze(int descriptor) override {
    return pass(FREEZE, [&] { return real_.freeze(descriptor); });
  }
  int thaw(int descriptor) override {
    return pass(THAW, [&] { return real_.thaw(descriptor); });
  }
  pid_t fork() override {
    return pass(FORK, [&] { return real_.fork(); });
  }
  int read_file(const std::string& path, std::string& text) override {
    return pass(READ_FILE, [&] { return real_.read_file(path, text); });
  }
  int write_file(const std::string& path, std::string_view text) override {
    return pass(WRITE_FILE, [&] { return real_.write_file(path, text); });
  }
  int create_file(const std::string& path, std::string_view text) override {
    return pass(CREATE_FILE, [&] { return real_.create_file(path, text); });
  }
  int make_directory(const std::string& path) override {
    return pass(MAKE_DIRECTORY, [&] { return real_.make_directory(path); });
  }
  int remove_file(const std::string& path) override {
    return pass(REMOVE_FILE, [&] { return real_.remove_file(path); });
  }

 protected:
  enum Call : int {
    OPEN_DIRECTORY,
    CLOSE,
    MOUNT_ID,
    SYNC,
    FREEZE,
    THAW,
    FORK,
    READ_FILE,
    WRITE_FILE,
    CREATE_FILE,
    MAKE_DIRECTORY,
    REMOVE_FILE,
    CALLS
  };
  static constexpr const char* NAMES[CALLS] = {
      "open_directory", "close",     "mount_id",   "sync",        "freeze",         "thaw",
      "fork",           "read_file", "write_file", "create_file", "make_directory", "remove_file"};

  // Both run where the call is made, perhaps in the guardian. If before() returns an error
  // (-errno), the call is not made and returns that.
  virtual int before(Call call) = 0;
  virtual void after(Call call, int result) = 0;

  linux::System& real_;

 private:
  template <typename Real>
  int pass(Call call, Real real) {
    if (const int error = before(call)) return error;
    const int result = real();
    after(call, result);
    return result;
  }
};

}  // namespace vmtpy::doubles
