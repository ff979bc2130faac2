// Reads /proc/PID/maps, finds the sites of each mapped file once, and changes single bytes by
// ptrace.
#include "emulator/ptrace/code_patches.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

namespace {

constexpr std::size_t MOST_FILES = 4096;

struct Mapping {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;  // the offset in the file
  std::string path;
};

// Returns a mapping of code from a file. A shared mapping does not count, because a change would be
// the file's.
std::optional<Mapping> read_mapping(const std::string& line) {
  Mapping found;
  char rights[5] = "";
  int path = 0;
  int fields = std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n",
                           &found.start, &found.end, rights, &found.offset, &path);
  if (fields != 4 || rights[2] != 'x' || rights[3] != 'p') return std::nullopt;
  found.path = line.substr(std::min(static_cast<std::size_t>(path), line.size()));
  if (!found.path.starts_with('/')) return std::nullopt;
  return found;
}

// Names the very file, whatever has become of its name. Only a process with the right may look
// there.
std::string map_file(const std::string& directory, const Mapping& mapping) {
  char range[64];
  std::snprintf(range, sizeof range, "%" PRIx64 "-%" PRIx64, mapping.start, mapping.end);
  return directory + "/map_files/" + range;
}

bool is_regular(const std::string& path, struct stat& status) {
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::uint8_t new_byte(Site site) {
  return site == Site::CPUID ? 0x0B : 0xCC;  // the second byte of ud2, or int3
}
// Returns the address of the byte that changes.
std::uint64_t changed(std::uint64_t address, Site site) {
  return site == Site::CPUID ? address + 1 : address;
}

bool write_byte(Tracee& tracee, std::uint64_t address, std::uint8_t byte) {
  std::uint64_t start = address & ~std::uint64_t{7};  // an aligned word lies in one page
  auto word = tracee.peek(start);
  if (!word) return false;
  std::uint64_t shift = (address - start) * 8;
  return tracee.poke(start,
                     (*word & ~(std::uint64_t{0xFF} << shift)) | std::uint64_t{byte} << shift);
}

bool is_changed(Tracee& tracee, std::uint64_t address, Site site) {
  std::uint8_t now = 0;
  return tracee.read(changed(address, site), &now, sizeof now) && now == new_byte(site);
}

}  // namespace

// Looks at every place before it changes the first, because places lie in each other's context.
void CodePatches::apply(Tracee& tracee) {
  if (files_.size() > MOST_FILES) files_.clear();
  std::vector<Mapped> wanted;
  for (const Mapped& mapped : mapped_sites(tracee.thread())) {
    std::string now(mapped.site->context.size(), '\0');
    if (tracee.read(mapped.context, now.data(), now.size()) && now == mapped.site->context) {
      wanted.push_back(mapped);
    }
  }
  for (const Mapped& mapped : wanted) {
    if (write_byte(tracee, changed(mapped.address, mapped.site->site),
                   new_byte(mapped.site->site))) {
      in_page_.set(mapped.address % in_page_.size());
    }
  }
}

void CodePatches::remove(Tracee& tracee) {
  for (const Mapped& mapped : mapped_sites(tracee.thread())) {
    if (!is_changed(tracee, mapped.address, mapped.site->site)) continue;
    std::uint64_t address = changed(mapped.address, mapped.site->site);
    write_byte(tracee, address,
               static_cast<std::uint8_t>(mapped.site->context[address - mapped.context]));
  }
}

std::optional<CodeSite> CodePatches::find(Tracee& tracee, std::uint64_t address) {
  if (!in_page_.test(address % in_page_.size())) return std::nullopt;
  for (const Mapped& mapped : mapped_sites(tracee.thread())) {
    if (mapped.address == address && is_changed(tracee, address, mapped.site->site)) {
      return *mapped.site;
    }
  }
  return std::nullopt;
}

std::vector<CodePatches::Mapped> CodePatches::mapped_sites(pid_t thread) {
  std::vector<Mapped> found;
  const std::string directory = "/proc/" + std::to_string(thread);
  std::ifstream maps(directory + "/maps");
  std::string line;
  while (std::getline(maps, line)) {
    auto mapping = read_mapping(line);
    if (!mapping) continue;
    const CodeSites* sites = sites_of(map_file(directory, *mapping));
    if (sites == nullptr) sites = sites_of(directory + "/root" + mapping->path);
    if (sites == nullptr) continue;
    std::uint64_t end = mapping->offset + (mapping->end - mapping->start);
    for (auto it = sites->lower_bound(mapping->offset); it != sites->end() && it->first < end;
         ++it) {
      std::uint64_t moved = mapping->start - mapping->offset;
      found.push_back({moved + it->first, moved + it->second.context_start, &it->second});
    }
  }
  return found;
}

const CodeSites* CodePatches::sites_of(const std::string& path) {
  struct stat status {};
  if (!is_regular(path, status)) return nullptr;
  const File file{status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
                  status.st_mtim.tv_nsec};
  if (auto known = files_.find(file); known != files_.end()) return &known->second;
  UniqueFd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened) return nullptr;
  ProgramFile program(std::move(opened));
  return &(files_[file] = find_code_sites(program));
}

}  // namespace vmtpy::emulator
