// What is known of a filesystem by its type alone. Types are allow-listed: an unknown one is never
// opened, let alone frozen.
#pragma once

#include <string_view>

namespace vmtpy::plan {

enum class TypeKind {
  FREEZES,  // has freeze_fs, is local
  SYNCS,    // local, on a block device, cannot be frozen: syncfs is all there is
  NETWORK,  // remote, or shared with other machines; opening it may hang
  FUSE,     // served by a process that may itself wait for what is frozen
  LAYERED,  // overlay and the like: the data lie on another filesystem
  MEMORY,
  PSEUDO,
  OTHER,
};

TypeKind type_kind(std::string_view type);

}  // namespace vmtpy::plan
