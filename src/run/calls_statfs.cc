#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/types.h"
#include "run/dispatch.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

// Linux fs/anon_inodes.c and virt/kvm/guest_memfd.c; newer than Debian 12's <linux/magic.h>.
constexpr long kGuestMemfdMagic = 0x474d454d;
constexpr long kFlagsValid = 0x20;  // ST_VALID: f_flags has a meaning
constexpr long kNameMax = 255;

/// simple_statfs() of Linux fs/libfs.c: file systems without blocks.
struct statfs without_blocks(long type, long flags) {
  struct statfs info{};
  info.f_type = type;
  info.f_bsize = info.f_frsize = static_cast<long>(kPageSize);
  info.f_namelen = kNameMax;
  info.f_flags = kFlagsValid | flags;
  return info;
}

/// sysfs, as it is mounted everywhere.
struct statfs sysfs() {
  return without_blocks(SYSFS_MAGIC, ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RELATIME);
}

/// devtmpfs is a tmpfs to statfs(2), as the private tree is.
struct statfs devtmpfs(Call& call) {
  struct statfs info{};
  const std::string root = "/proc/self/fd/" + std::to_string(call.context().tree.root());
  (void)::statfs(root.c_str(), &info);
  return info;
}

struct statfs of_path(Call& call, std::string_view path) {
  if (path.starts_with("/proc/"))
    return without_blocks(PROC_SUPER_MAGIC, ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RELATIME);
  return path.starts_with("/sys/") ? sysfs() : devtmpfs(call);
}

struct statfs of_file(Call& call, const DeviceFile& file) {
  if (file.name.starts_with('/')) return of_path(call, file.name);
  switch (file.file->kind()) {
    case object::FileKind::kDmaBuf:
      return without_blocks(DMA_BUF_MAGIC, 0);
    case object::FileKind::kGuestMemfd:
      return without_blocks(kGuestMemfdMagic, 0);
    case object::FileKind::kIommu:
    case object::FileKind::kVfioDevice:
    case object::FileKind::kVfioGroup:
    case object::FileKind::kVfioContainer:
    case object::FileKind::kIommuFaults:
    case object::FileKind::kIommuEvents:
    case object::FileKind::kIommuTestAccess:
    case object::FileKind::kKvm:
    case object::FileKind::kKvmVm:
    case object::FileKind::kKvmVcpu:
    case object::FileKind::kKvmVfioDevice:
    case object::FileKind::kAttribute:
    case object::FileKind::kVendorNode:
    case object::FileKind::kForeign:
      break;
  }
  return without_blocks(ANON_INODE_FS_MAGIC, 0);
}

Reply answer(Call& call, const struct statfs& info) {
  return Reply::of(call.memory().write(call.arg(1), bytes_of(info)));
}

Reply of_place(Call& call, const Place& place) {
  switch (place.kind) {
    case Place::Kind::kHost:
      return Reply::go_on();
    case Place::Kind::kVirtual:
      if (!call.context().tree.find(place.path))
        return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
      return answer(call, of_path(call, place.path));
    case Place::Kind::kDescriptor:
      return answer(call, of_file(call, *place.file));
    case Place::Kind::kElsewhere:
      break;
  }
  struct statfs info{};
  if (::statfs(place.path.c_str(), &info) != 0)
    return Reply::of(last_error("the host refuses the file"));
  return answer(call, info);
}

}  // namespace

Reply on_statfs(Call& call, const Row&) {
  const auto place = place_of(call, AT_FDCWD, call.arg(0), Follow::kYes);
  return place ? of_place(call, *place) : Reply::of(place.error());
}

Reply on_fstatfs(Call& call, const Row&) {
  return of_place(call, call.context().paths.descriptor(call.tid(), call.int_arg(0)));
}

}  // namespace teeio::run
