#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/mm/caller.h"
#include "host/mm/mapped_file.h"
#include "host/mm/readiness.h"
#include "object/fail_nth.h"
#include "object/file.h"

namespace teeio::entry {

/// What a program sees of a descriptor with fstat(): our device nodes are
/// character devices, VM descriptors are anonymous inodes.
struct FileStat {
  std::uint32_t mode = 0;  ///< S_IF… and permission bits
  std::uint64_t rdev = 0;  ///< makedev() of a character device, else 0
  std::uint64_t size = 0;  ///< bytes; attributes have Linux's nominal size
};

/// The machine as system calls: what run/ forwards a program's calls to, and
/// what in-process callers use directly. Every method may block unless it says
/// otherwise, opens its own object::DelayedPuts scope and sets the origin.
///
/// Paths are absolute, resolved (no "..", no symlink), and below /dev/iommu,
/// /dev/kvm, /dev/vfio or a folder of /sys that the machine answers for, or
/// /proc/<tid>/fail-nth.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;

  /// open(2) of a device node or an attribute. `flags` as open(2).
  /// Errors: ENOENT, EACCES, EISDIR, ENXIO as Linux's open of that file.
  virtual Result<object::Ref<object::File>> open(mm::Caller& caller, std::string_view path,
                                                 std::uint32_t flags) = 0;
  /// ioctl(2). The value is the call's return value, >= 0.
  virtual Result<std::int64_t> ioctl(mm::Caller& caller, object::File& file, std::uint32_t command,
                                     std::uint64_t argument) = 0;
  /// Where KVM is the host's own (`teeio run --host-kvm`): the file of ours that answers
  /// ioctl(2) with this command in place of `fd`, which is none of ours; null: the kernel
  /// answers. So it is with the KVM VFIO device of a VM, which a kernel's own would be given
  /// files that it does not know. Errors: EPERM the program forbids to look at its descriptors.
  virtual Result<object::Ref<object::File>> stand_in(mm::Caller&, std::int32_t /*fd*/,
                                                     std::uint32_t /*command*/,
                                                     std::uint64_t /*argument*/) {
    return object::Ref<object::File>();
  }
  /// pread(2)/pwrite(2), and read/write with the file's own position kept by the
  /// caller. The value is the count of bytes done, 0 at the end of the file.
  virtual Result<std::size_t> read(mm::Caller& caller, object::File& file, std::uint64_t offset,
                                   std::span<std::byte> out) = 0;
  virtual Result<std::size_t> write(mm::Caller& caller, object::File& file, std::uint64_t offset,
                                    ByteView in) = 0;
  /// Asks whether [offset, offset + length) of `file` may be mapped; on success
  /// the windows of its MappedFile that it needs are exposed and the real call
  /// goes ahead on the real file. `prot` and `flags` as mmap(2). Errors: as the
  /// file's own mmap operation (EINVAL, EPERM …), ENODEV where it has none.
  virtual Result<void> mmap(mm::Caller& caller, object::File& file, std::uint64_t offset,
                            std::uint64_t length, std::uint32_t prot, std::uint32_t flags) = 0;
  /// Gives `file` the object behind its mappings; called once, before the
  /// program gets its descriptor. Files that are never mapped ignore it.
  virtual void set_mapped_file(object::File& file, std::unique_ptr<mm::MappedFile> mapped) = 0;
  [[nodiscard]] virtual FileStat stat(object::File& file) = 0;
  /// What /proc/PID/fd shows of a file that was opened by no path.
  [[nodiscard]] virtual std::string link_of_anonymous(object::File& file) {
    return "anon_inode:[" + std::string(object::file_kind_name(file.kind())) + "]";
  }

  /// What a file's position is to lseek(2) and to pread(2), pwrite(2).
  struct Position {
    bool seekable = false;   ///< false: lseek() gives ESPIPE
    bool positional = true;  ///< false: pread() and pwrite() give ESPIPE
    bool from_end = false;   ///< SEEK_END gives the size, SEEK_SET 0; nothing else
  };
  [[nodiscard]] virtual Position position(object::File&) { return {}; }
  /// fallocate(2). Errors: as Linux's file of that kind, ENODEV where it has none.
  virtual Result<void> fallocate(mm::Caller&, object::File&, std::uint32_t /*mode*/,
                                 std::int64_t /*offset*/, std::int64_t /*length*/) {
    return fail(Errno::kNoDev, "the file has no blocks");
  }

  /// One node of the /sys and /dev trees, for the private directory that run/
  /// keeps so that find, ls and readlink work on real files.
  struct Node {
    std::string path;  ///< absolute
    enum class Type : std::uint8_t { kDirectory, kSymlink, kAttribute, kDevice } type;
    std::string target;  ///< of a symlink, as readlink(2) gives it
    FileStat stat;
  };
  /// Changes whenever the tree changes.
  [[nodiscard]] virtual std::uint64_t tree_generation() = 0;
  /// Directories of /sys that this machine has beyond those that every Linux with PCI,
  /// VFIO and IOMMUs has: its platform's devices. The same as long as it runs.
  [[nodiscard]] virtual std::vector<std::string> platform_devices() { return {}; }
  /// What a program may make fail in its own calls, by /proc/<tid>/fail-nth; null: a kernel
  /// without CONFIG_FAULT_INJECTION, which has no such file.
  [[nodiscard]] virtual object::FailNth* fail_nth() { return nullptr; }
  /// All nodes, parents before children.
  [[nodiscard]] virtual std::vector<Node> tree() = 0;

  /// "VFIO_DEVICE_TSM_BIND", or "0x3b6a" if `command` on `file` has no name.
  [[nodiscard]] virtual std::string ioctl_name(object::File& file, std::uint32_t command) = 0;
  /// The name of `command` on `file` ("VFIO_DEVICE_TSM_BIND") and its decoded
  /// argument as it stands in the program's memory, for `-v`; "0x3b6a" if unknown.
  [[nodiscard]] virtual std::string describe(mm::Caller& caller, object::File& file,
                                             std::uint32_t command, std::uint64_t argument) = 0;

  /// What poll(2) of a file says.
  enum class Polling : std::uint8_t {
    kAlways,            ///< as a regular file: readable and writable
    kReadable,          ///< readable when its Readiness says so, never writable
    kReadableWritable,  ///< the same, and always writable
  };
  [[nodiscard]] virtual Polling polling(object::File&) { return Polling::kAlways; }
  /// Gives `file` what to tell; called once, before the program gets its descriptor, if it
  /// is not kAlways.
  virtual void set_readiness(object::File&, std::unique_ptr<mm::Readiness>) {}
  /// Bytes of a record, which a read or a write does not cut; 1: any size may be cut.
  [[nodiscard]] virtual std::size_t record_bytes(object::File&) { return 1; }
  /// What read() gave, and the program's memory did not take: the next read() gives it.
  virtual void put_back(object::File&, ByteView) {}
};

}  // namespace teeio::entry
