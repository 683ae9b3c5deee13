#include <sys/stat.h>

#include <charconv>
#include <limits>

#include "entry/attribute_file.h"
#include "entry/dispatch.h"
#include "entry/kvm_handlers.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommufd/context.h"
#include "host/iommufd/event_queue.h"
#include "host/kvm/gmem.h"
#include "host/kvm/vcpu_file.h"
#include "host/sysfs/system.h"
#include "host/sysfs/text.h"

namespace teeio::entry {
namespace {

using object::FileKind;

constexpr std::string_view kFailNth = "/fail-nth";
constexpr std::string_view kVfioPrefix = "/dev/vfio/devices/vfio";
constexpr std::string_view kGroupPrefix = "/dev/vfio/";

std::optional<std::uint32_t> number_after(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  std::uint32_t minor = 0;
  const auto [stop, error] = std::from_chars(path.data(), path.data() + path.size(), minor);
  if (error != std::errc{} || stop != path.data() + path.size()) return std::nullopt;
  if (path.size() > 1 && path.front() == '0') return std::nullopt;  // no node is named so
  return minor;
}

FileStat stat_of(const sysfs::Node& node) {
  return {.mode = node.mode, .rdev = node.rdev, .size = node.size};
}

SystemCalls::Node::Type type_of(const sysfs::Node& node) {
  if (S_ISDIR(node.mode)) return SystemCalls::Node::Type::kDirectory;
  if (S_ISLNK(node.mode)) return SystemCalls::Node::Type::kSymlink;
  return S_ISCHR(node.mode) ? SystemCalls::Node::Type::kDevice
                            : SystemCalls::Node::Type::kAttribute;
}

}  // namespace

Result<object::Ref<object::File>> Dispatch::open(mm::Caller& caller, std::string_view path,
                                                 std::uint32_t flags) {
  const object::DelayedPuts puts;
  const object::OriginScope origin({.pid = caller.pid(), .tid = caller.tid(), .call = "open"});
  if (path == "/dev/iommu") return open_iommu();
  if (path.starts_with("/proc/") && path.ends_with(kFailNth)) return open_fail_nth(path);
  if (path == "/dev/kvm" && system_.has_kvm())
    return object::Ref<object::File>(object::make_ref<kvm::KvmFile>(host_.kvm));
  if (path == "/dev/vfio/vfio") return open_container();
  if (const auto number = number_after(kGroupPrefix, path)) {
    object::Ref<vfio::Group> group = devices_.vfio_group(*number);
    if (!group) return fail(Errno::kNoEnt, "no function of the group is on vfio-pci");
    return vfio::Group::open(std::move(group));
  }
  if (const auto minor = number_after(kVfioPrefix, path)) {
    vfio::Device* device = devices_.vfio(*minor);
    if (device == nullptr) return fail(Errno::kNoEnt, "vfio-pci has no such device");
    if (!device->get_registration())
      return fail(Errno::kNoEnt, "the device's driver is on its way out");
    return object::Ref<object::File>(object::make_ref<vfio::DeviceFile>(*device));
  }
  constexpr std::string_view kDev = "/dev/";
  if (path.starts_with(kDev))
    if (VendorNode* node = devices_.vendor_node(path.substr(kDev.size())))
      return object::Ref<object::File>(
          object::make_ref<VendorNodeFile>(*node, std::string(path), flags));
  if (!system_.tree().find(path)) return fail(Errno::kNoEnt, "no such file in the machine");
  return AttributeFile::open(system_.tree(), path, flags);
}

Result<object::Ref<object::File>> Dispatch::open_iommu() {
  TEEIO_TRY(schedule::allocate("an iommufd"));
  return object::Ref<object::File>(iommufd::Context::open(host_.iommufd));
}

/// proc_fail_nth_read(), proc_fail_nth_write() of Linux fs/proc/base.c.
Result<object::Ref<object::File>> Dispatch::open_fail_nth(std::string_view path) {
  const std::string_view owner = path.substr(0, path.size() - kFailNth.size());
  const auto tid = number_after("", owner.substr(owner.rfind('/') + 1));
  if (host_.fail_nth == nullptr || !tid || *tid == 0)
    return fail(Errno::kNoEnt, "a kernel without fault injection");
  auto attribute = object::make_ref<sysfs::Attribute>();
  object::FailNth& faults = *host_.fail_nth;
  const auto number = static_cast<std::int32_t>(*tid);
  attribute->show = [&faults, number]() -> Result<std::string> {
    return std::to_string(faults.get(number)) + "\n";
  };
  attribute->store = [&faults, number](std::string_view text) -> Result<void> {
    const auto nth = sysfs::parse_unsigned(text);
    if (!nth) return fail(Errno::kInval, "not a number");
    if (*nth > std::numeric_limits<std::uint32_t>::max())
      return fail(Errno::kRange, "the number has more than 32 bits");
    faults.set(number, static_cast<std::uint32_t>(*nth));
    return {};
  };
  return AttributeFile::of(system_.tree(), std::string(path), S_IFREG | 0644, std::move(attribute));
}

/// CONFIG_VFIO_CONTAINER, or CONFIG_IOMMUFD_VFIO_CONTAINER: an iommufd then, charged as VFIO
/// charges (iommufd_fops_open()).
Result<object::Ref<object::File>> Dispatch::open_container() {
  if (host_.container == vfio::ContainerKind::kType1)
    return object::Ref<object::File>(object::make_ref<vfio::ContainerFile>(host_.iommufd.memory));
  TEEIO_TRY(schedule::allocate("an iommufd"));
  auto context = iommufd::Context::open(host_.iommufd);
  TEEIO_TRY(context->set_rlimit_mode(1));
  return object::Ref<object::File>(std::move(context));
}

Result<void> Dispatch::mmap(mm::Caller& caller, object::File& file, std::uint64_t offset,
                            std::uint64_t length, std::uint32_t prot, std::uint32_t flags) {
  const object::DelayedPuts puts;
  const object::OriginScope origin({.pid = caller.pid(), .tid = caller.tid(), .call = "mmap"});
  constexpr std::uint32_t kProtExec = 4;
  constexpr std::uint32_t kMapTypeMask = 3;
  constexpr std::uint32_t kMapPrivate = 2;
  switch (file.kind()) {
    case FileKind::kVfioDevice: {
      auto& vfio_file = static_cast<vfio::DeviceFile&>(file);
      if (!vfio_file.access_granted())
        return fail(Errno::kInval, "the device is not bound to an iommufd yet");
      if ((flags & kMapTypeMask) == kMapPrivate)
        return fail(Errno::kInval, "device memory is mapped shared");
      if (!vfio_file.maps())
        return fail(Errno::kNoDev, "the device's memory is mapped through its first descriptor");
      return vfio_file.device().mmap(static_cast<std::uint32_t>(offset >> vfio::kRegionShift),
                                     offset & ((1ULL << vfio::kRegionShift) - 1), length);
    }
    case FileKind::kKvmVcpu:
      if ((prot & kProtExec) != 0) return fail(Errno::kPerm, "kvm_run is not code");
      if (mm::MappedFile* run = static_cast<kvm::VcpuFile&>(file).mapped_file(); run != nullptr)
        TEEIO_TRY(run->expose(0, kVcpuMmapSize));
      return {};
    case FileKind::kGuestMemfd:
      if ((prot & kProtExec) != 0) return fail(Errno::kPerm, "a guest_memfd is not code");
      return static_cast<kvm::Gmem&>(file).map((flags & kMapTypeMask) != kMapPrivate);
    case FileKind::kAttribute:
      return static_cast<AttributeFile&>(file).mmap(offset, length);
    case FileKind::kIommu:
      return static_cast<iommufd::Context&>(file).mappings().map(
          offset, (length + (kPageSize - 1)) & ~(kPageSize - 1),
          (flags & kMapTypeMask) != kMapPrivate, (prot & kProtExec) != 0);
    case FileKind::kDmaBuf:
      return fail(Errno::kInval, "a VFIO dma-buf is not for the CPU");
    case FileKind::kVfioGroup:
    case FileKind::kVfioContainer:
    case FileKind::kKvm:
    case FileKind::kKvmVm:
    case FileKind::kKvmVfioDevice:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kVendorNode:
    case FileKind::kForeign:
      break;
  }
  return fail(Errno::kNoDev, "the file cannot be mapped");
}

void Dispatch::set_mapped_file(object::File& file, std::unique_ptr<mm::MappedFile> mapped) {
  if (file.kind() == FileKind::kVfioDevice) {
    static_cast<vfio::DeviceFile&>(file).set_mapped_file(std::move(mapped));
  } else if (file.kind() == FileKind::kKvmVcpu) {
    (void)mapped->expose(0, kVcpuMmapSize);
    static_cast<kvm::VcpuFile&>(file).set_mapped_file(std::move(mapped));
  } else if (file.kind() == FileKind::kAttribute) {
    static_cast<AttributeFile&>(file).set_mapped_file(std::move(mapped));
  } else if (file.kind() == FileKind::kGuestMemfd) {
    static_cast<kvm::Gmem&>(file).set_mapped_file(std::move(mapped));
  } else if (file.kind() == FileKind::kIommu) {
    static_cast<iommufd::Context&>(file).mappings().set_file(std::move(mapped));
  }
}

/// KVM's names have no brackets: kvm_dev_ioctl_create_vm(), create_vcpu_fd(),
/// kvm_ioctl_create_device(), kvm_vm_ioctl_get_stats_fd().
std::string Dispatch::link_of_anonymous(object::File& file) {
  const std::string name(object::file_kind_name(file.kind()));
  if (file.kind() == FileKind::kKvmVm || file.kind() == FileKind::kKvmVfioDevice)
    return "anon_inode:" + name;
  if (file.kind() == FileKind::kKvmVcpu)
    return "anon_inode:" + name + ":" +
           std::to_string(static_cast<kvm::VcpuFile&>(file).vcpu().id());
  if (file.kind() == FileKind::kAttribute) return static_cast<AttributeFile&>(file).path();
  return SystemCalls::link_of_anonymous(file);
}

SystemCalls::Polling Dispatch::polling(object::File& file) {
  if (file.kind() == FileKind::kIommuFaults) return Polling::kReadableWritable;
  return file.kind() == FileKind::kIommuEvents ? Polling::kReadable : Polling::kAlways;
}

std::size_t Dispatch::record_bytes(object::File& file) {
  if (polling(file) == Polling::kAlways) return 1;
  return static_cast<iommufd::EventQueueFile&>(file).record_bytes();
}

void Dispatch::put_back(object::File& file, ByteView bytes) {
  if (polling(file) != Polling::kAlways)
    static_cast<iommufd::EventQueueFile&>(file).put_back(bytes);
}

void Dispatch::set_readiness(object::File& file, std::unique_ptr<mm::Readiness> readiness) {
  if (polling(file) != Polling::kAlways)
    static_cast<iommufd::EventQueueFile&>(file).set_readiness(std::move(readiness));
}

FileStat Dispatch::stat(object::File& file) {
  // An open device node is what its path shows, as long as there is one.
  const auto named = [this](const std::string& path) {
    const auto node = system_.tree().find(path);
    return node ? stat_of(*node) : FileStat{.mode = S_IFCHR | 0600, .rdev = 0, .size = 0};
  };
  switch (file.kind()) {
    case FileKind::kIommu:
      return named("/dev/iommu");
    case FileKind::kKvm:
      return named("/dev/kvm");
    case FileKind::kVfioDevice: {
      auto& vfio_file = static_cast<vfio::DeviceFile&>(file);
      if (vfio_file.from_group()) return {.mode = 0600, .rdev = 0, .size = 0};
      return named(std::string(kVfioPrefix) + std::to_string(vfio_file.device().minor()));
    }
    case FileKind::kVfioGroup:
      return named(std::string(kGroupPrefix) +
                   std::to_string(static_cast<vfio::GroupFile&>(file).group().number()));
    case FileKind::kVfioContainer:
      return named("/dev/vfio/vfio");
    case FileKind::kVendorNode:
      return named(static_cast<VendorNodeFile&>(file).path());
    case FileKind::kAttribute: {
      const auto& attribute = static_cast<AttributeFile&>(file);
      return {.mode = attribute.mode(), .rdev = 0, .size = attribute.size()};
    }
    case FileKind::kGuestMemfd:
      return {.mode = S_IFREG | 0600, .rdev = 0, .size = static_cast<kvm::Gmem&>(file).size()};
    case FileKind::kDmaBuf:
      return {.mode = 0600, .rdev = 0, .size = static_cast<dmabuf::DmaBuf&>(file).size_bytes()};
    case FileKind::kKvmVm:
    case FileKind::kKvmVcpu:
    case FileKind::kKvmVfioDevice:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kForeign:
      return {.mode = 0600, .rdev = 0, .size = 0};  // anon_inode: no file type
  }
  return {};
}

/// Linux fs/read_write.c and fs/open.c: what has no llseek operation has no position,
/// and what was not opened by a path has no pread. A dma-buf: dma_buf_llseek().
SystemCalls::Position Dispatch::position(object::File& file) {
  switch (file.kind()) {
    case FileKind::kKvm:
      return {.seekable = true};  // noop_llseek(): stays where it is
    case FileKind::kKvmVm:
    case FileKind::kKvmVcpu:
      return {.seekable = true, .positional = false};
    case FileKind::kDmaBuf:
      return {.seekable = true, .positional = false, .from_end = true};
    case FileKind::kKvmVfioDevice:
    case FileKind::kGuestMemfd:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
      return {.positional = false};
    case FileKind::kIommu:
    case FileKind::kVfioDevice:
    case FileKind::kVfioGroup:
    case FileKind::kVfioContainer:
    case FileKind::kAttribute:
    case FileKind::kVendorNode:
    case FileKind::kForeign:
      break;
  }
  return {};
}

/// vfs_fallocate() and kvm_gmem_fallocate().
Result<void> Dispatch::fallocate(mm::Caller& caller, object::File& file, std::uint32_t mode,
                                 std::int64_t offset, std::int64_t length) {
  const object::DelayedPuts puts;
  const object::OriginScope origin({.pid = caller.pid(), .tid = caller.tid(), .call = "fallocate"});
  constexpr std::uint32_t kKeepSize = 1, kPunchHole = 2;
  if (offset < 0 || length <= 0) return fail(Errno::kInval, "the range is empty or negative");
  if ((mode & ~(kKeepSize | kPunchHole)) != 0 || (mode & (kKeepSize | kPunchHole)) == kPunchHole)
    return fail(Errno::kOpNotSupp, "the mode of fallocate() is not supported");
  if (file.kind() != FileKind::kGuestMemfd) return fail(Errno::kNoDev, "the file has no blocks");
  if (offset > std::numeric_limits<std::int64_t>::max() - length)
    return fail(Errno::kFBig, "the range is beyond what a file can be");
  if ((mode & kKeepSize) == 0)
    return fail(Errno::kOpNotSupp, "a guest_memfd does not change its size");
  return static_cast<kvm::Gmem&>(file).fallocate(
      (mode & kPunchHole) != 0 ? kvm::Gmem::Fallocate::kPunchHole : kvm::Gmem::Fallocate::kAllocate,
      static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length));
}

std::vector<std::string> Dispatch::platform_devices() { return system_.platform_devices(); }

std::uint64_t Dispatch::tree_generation() { return system_.tree().generation(); }

std::vector<SystemCalls::Node> Dispatch::tree() {
  std::vector<Node> nodes;
  for (const sysfs::Node& node : system_.tree().nodes())
    nodes.push_back(
        {.path = node.path, .type = type_of(node), .target = node.target, .stat = stat_of(node)});
  return nodes;
}

}  // namespace teeio::entry
