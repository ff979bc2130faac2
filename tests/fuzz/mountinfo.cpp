// Takes any text as /proc/self/mountinfo, /proc/swaps and the administrator's globs, separated by
// NUL. The result is a plan or an error, and every planned filesystem is a mount of the text.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/errors.h"
#include "fuzz.h"
#include "plan/mounts.h"
#include "plan/plan.h"

using namespace vmtpy;

namespace {

// A file in memory. It lives in one run of the target.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& text) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    check(::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
          "a file in memory can be written");
  }
  ~MemoryFile() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

std::string up_to_nul(std::string& text) {
  const std::size_t end = text.find('\0');
  std::string part = text.substr(0, end);
  text.erase(0, end == std::string::npos ? end : end + 1);
  return part;
}

void check_plan(const plan::Plan& plan, const plan::Mounts& mounts) {
  for (const plan::Filesystem& filesystem : plan.filesystems) {
    const plan::Superblock* superblock = mounts.superblock(filesystem.device);
    check(superblock != nullptr, "a planned filesystem is mounted");
    check(superblock->main().point == filesystem.path && filesystem.level >= 0,
          "a planned filesystem is opened where it is mounted");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const std::string include = up_to_nul(text);
  const std::string exclude = up_to_nul(text);
  const std::string volumes = up_to_nul(text);
  const std::string swaps = up_to_nul(text);
  const plan::Mounts mounts(text);
  mounts.under(include);
  for (const plan::Superblock& superblock : mounts.superblocks()) superblock.option("upperdir");

  plan::PlanRequest request;
  if (!include.empty()) request.include = {include};
  if (!exclude.empty()) request.exclude = {exclude};
  if (!volumes.empty()) request.volumes = {volumes};
  const MemoryFile mountinfo(text);
  const MemoryFile swap(swaps);
  try {
    check_plan(plan::make_plan(request,
                               {mountinfo.path(), swap.path(), "/nowhere", "/nowhere", "/nowhere"}),
               mounts);
  } catch (const PlanError&) {  // the error says what is wrong
  }
  return 0;
}
