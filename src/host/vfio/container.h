#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "host/vfio/type1.h"
#include "hw/physical_memory.h"
#include "object/file.h"
#include "object/ref.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

class Group;

/// What VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU take, with the uAPI's numbers.
enum class Extension : std::uint64_t {
  kType1 = 1,
  kType1v2 = 3,
  kDmaCoherent = 4,
  kUnmapAll = 9,
  kUpdateVaddr = 10,
};

/// What groups share that were given one /dev/vfio/vfio: after VFIO_SET_IOMMU a type 1 IOMMU
/// (Linux: struct vfio_container). Source: Linux drivers/vfio/container.c.
///
/// Lifetime: counted by its open file and by its groups; both may go first.
/// Locking: container->group_lock.
class Container final : public object::Counted {
 public:
  explicit Container(hw::PhysicalMemory& memory) : memory_(memory) {}

  /// vfio_container_attach_group(): takes the DMA of the group. Precondition: the caller has
  /// the group's lock (both). Errors: EPERM somebody has it; Type1::attach()'s.
  Result<void> attach(Group& group) TEEIO_EXCLUDES(group_lock_);
  /// vfio_group_detach_container(): with the last group the IOMMU goes, and every mapping.
  void detach(Group& group) TEEIO_EXCLUDES(group_lock_);
  /// VFIO_SET_IOMMU. Errors: EINVAL no group, an IOMMU is set, or the extension is none that
  /// is set; ENODEV there is no such one; Type1::attach()'s.
  Result<void> set_iommu(Extension extension) TEEIO_EXCLUDES(group_lock_);
  /// VFIO_CHECK_EXTENSION.
  [[nodiscard]] bool has(Extension extension) TEEIO_EXCLUDES(group_lock_);
  /// Whether an IOMMU is set, as a group sees it that is attached.
  [[nodiscard]] bool has_iommu() const { return has_iommu_.load(); }

  /// Calls `use` with the IOMMU. It stays while `use` runs: Linux looks it up without a
  /// lock (vfio_fops_unl_ioctl()), and a group that leaves meanwhile frees it.
  /// Errors: EINVAL without one; `use`'s.
  template <class Use>
  std::invoke_result_t<Use, Type1&> with_iommu(Use use) TEEIO_EXCLUDES(group_lock_) {
    const schedule::ReadLock lock(group_lock_);
    if (iommu_ == nullptr) return fail(Errno::kInval, "the container has no IOMMU yet");
    return use(*iommu_);
  }

 private:
  hw::PhysicalMemory& memory_;
  schedule::RwMutex group_lock_{schedule::Rank::kVfioContainer};
  std::vector<Group*> groups_ TEEIO_GUARDED_BY(group_lock_);
  std::unique_ptr<Type1> iommu_ TEEIO_GUARDED_BY(group_lock_);
  schedule::Atomic<bool> has_iommu_{false};
};

/// An open /dev/vfio/vfio.
///
/// Lifetime: an open file. Its close leaves the groups' mappings as they are.
class ContainerFile final : public object::File {
 public:
  explicit ContainerFile(hw::PhysicalMemory& memory)
      : File(object::FileKind::kVfioContainer), container_(object::make_ref<Container>(memory)) {}
  [[nodiscard]] Container& container() { return *container_; }

 private:
  void release() override { container_.reset(); }
  object::Ref<Container> container_;
};

}  // namespace teeio::vfio
