// What is known of a filesystem by its type alone. It serves the plan. Only listed types are opened
// or frozen; an unknown type never is.
#pragma once

#include <string_view>

namespace vmtpy::plan {

enum class TypeKind {
  FREEZES,  // has freeze_fs and is local
  SYNCS,    // is local and on a block device, but can only be synced, not frozen
  NETWORK,  // is remote or shared with other machines; opening it may hang
  FUSE,     // is served by a process that may itself wait for what is frozen
  LAYERED,  // has its data on another filesystem, as overlay has
  MEMORY,
  PSEUDO,
  OTHER,
};

TypeKind type_kind(std::string_view type);

}  // namespace vmtpy::plan
