// The lists of filesystem types that vmtpy knows. A type that is in none of them is left alone, and
// the plan says so.
#include "plan/filesystem_type.h"

#include <algorithm>
#include <array>

namespace vmtpy::plan {

namespace {

using namespace std::string_view_literals;

// cifs, gfs2 and efivarfs have a freeze_fs too, but nobody wants to freeze a server's share, a
// whole cluster or the firmware's variables.
constexpr std::array FREEZES = {"bcachefs"sv, "btrfs"sv, "ext2"sv,   "ext3"sv,     "ext4"sv,
                                "f2fs"sv,     "jfs"sv,   "nilfs2"sv, "reiserfs"sv, "xfs"sv};
constexpr std::array SYNCS = {"affs"sv,  "exfat"sv, "hfs"sv,   "hfsplus"sv, "minix"sv,
                              "msdos"sv, "ntfs"sv,  "ntfs3"sv, "udf"sv,     "vfat"sv};
constexpr std::array NETWORK = {"9p"sv,       "acfs"sv,     "afs"sv,   "beegfs"sv,    "ceph"sv,
                                "cifs"sv,     "coda"sv,     "gfs2"sv,  "glusterfs"sv, "gpfs"sv,
                                "lustre"sv,   "ncpfs"sv,    "nfs"sv,   "nfs4"sv,      "ocfs2"sv,
                                "orangefs"sv, "prl_fs"sv,   "pvfs2"sv, "smb3"sv,      "smbfs"sv,
                                "vboxsf"sv,   "virtiofs"sv, "vmhgfs"sv};
constexpr std::array LAYERED = {"aufs"sv, "ecryptfs"sv, "overlay"sv, "overlayfs"sv};
constexpr std::array MEMORY = {"ramfs"sv, "rootfs"sv, "tmpfs"sv};
constexpr std::array PSEUDO = {
    "autofs"sv,   "binder"sv,    "binfmt_misc"sv, "bpf"sv,        "cgroup"sv,     "cgroup2"sv,
    "configfs"sv, "cpuset"sv,    "debugfs"sv,     "devpts"sv,     "devtmpfs"sv,   "efivarfs"sv,
    "fusectl"sv,  "hugetlbfs"sv, "mqueue"sv,      "nfsd"sv,       "nsfs"sv,       "pipefs"sv,
    "proc"sv,     "pstore"sv,    "resctrl"sv,     "rpc_pipefs"sv, "securityfs"sv, "selinuxfs"sv,
    "smackfs"sv,  "sockfs"sv,    "sysfs"sv,       "tracefs"sv};

// These are FUSE filesystems, but views of something else: of a desktop's mounts, of /proc, of
// VMware's drag and drop.
constexpr std::array VIEWS = {"fuse.gvfsd-fuse"sv, "fuse.lxcfs"sv, "fuse.portal"sv,
                              "fuse.vmware-vmblock"sv};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& list, std::string_view type) {
  return std::find(list.begin(), list.end(), type) != list.end();
}

}  // namespace

TypeKind type_kind(std::string_view type) {
  if (among(FREEZES, type)) return TypeKind::FREEZES;
  if (among(SYNCS, type)) return TypeKind::SYNCS;
  if (among(PSEUDO, type)) return TypeKind::PSEUDO;
  if (among(MEMORY, type)) return TypeKind::MEMORY;
  if (among(LAYERED, type)) return TypeKind::LAYERED;
  if (among(NETWORK, type)) return TypeKind::NETWORK;
  if (among(VIEWS, type)) return TypeKind::PSEUDO;
  if (type == "fuse" || type == "fuseblk" || type.starts_with("fuse.")) return TypeKind::FUSE;
  return TypeKind::OTHER;
}

}  // namespace vmtpy::plan
