// Counts calls, fails the chosen one, and passes the others to the real System. In the guardian it
// only passes calls on.
#include "doubles/faulty_system.h"

#include <unistd.h>

namespace vmtpy::doubles {

FaultySystem::FaultySystem(linux::System& real) : real_(real), process_(getpid()) {}

void FaultySystem::fail(int nth, int error, bool for_good, std::string call) {
  MutexLock guard(mutex_);
  countdown_ = nth;
  error_ = error;
  for_good_ = for_good;
  only_ = std::move(call);
  fired_ = false;
}

bool FaultySystem::fired() const {
  MutexLock guard(mutex_);
  return fired_;
}

std::vector<std::string> FaultySystem::calls() const {
  MutexLock guard(mutex_);
  return calls_;
}

int FaultySystem::fault(const char* call) {
  MutexLock guard(mutex_);
  calls_.emplace_back(call);
  if (!only_.empty() && only_ != call) return 0;
  if (fired_ && for_good_) return -error_;
  if (countdown_ <= 0 || --countdown_ > 0) return 0;
  fired_ = true;
  return -error_;
}

int FaultySystem::open_directory(const std::string& path) {
  int error = fault("open_directory");
  return error ? error : real_.open_directory(path);
}

int FaultySystem::close(int descriptor) {
  // As with the real close(2), the descriptor is gone even where an error is returned.
  int error = fault("close");
  int result = real_.close(descriptor);
  return error ? error : result;
}

int FaultySystem::mount_id(int descriptor, linux::MountId& id) {
  int error = fault("mount_id");
  return error ? error : real_.mount_id(descriptor, id);
}

int FaultySystem::sync(int descriptor) {
  int error = fault("sync");
  return error ? error : real_.sync(descriptor);
}

int FaultySystem::freeze(int descriptor) {
  int error = fault("freeze");
  return error ? error : real_.freeze(descriptor);
}

int FaultySystem::thaw(int descriptor) {
  // The guardian takes no lock.
  if (getpid() != process_) return real_.thaw(descriptor);
  int error = fault("thaw");
  return error ? error : real_.thaw(descriptor);
}

pid_t FaultySystem::fork() {
  int error = fault("fork");
  return error ? error : real_.fork();
}

int FaultySystem::read_file(const std::string& path, std::string& text) {
  int error = fault("read_file");
  return error ? error : real_.read_file(path, text);
}

int FaultySystem::write_file(const std::string& path, std::string_view text) {
  int error = fault("write_file");
  return error ? error : real_.write_file(path, text);
}

int FaultySystem::create_file(const std::string& path, std::string_view text) {
  int error = fault("create_file");
  return error ? error : real_.create_file(path, text);
}

int FaultySystem::make_directory(const std::string& path) {
  int error = fault("make_directory");
  return error ? error : real_.make_directory(path);
}

int FaultySystem::remove_file(const std::string& path) {
  int error = fault("remove_file");
  return error ? error : real_.remove_file(path);
}

}  // namespace vmtpy::doubles
