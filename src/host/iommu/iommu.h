#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "host/iommu/user_data.h"

namespace teeio::iommu {

/// What a device may do with a page.
enum class Prot : std::uint8_t { kRead = 1, kWrite = 2, kReadWrite = 3 };

/// IOVAs that never reach memory through a domain.
struct ReservedRegion {
  enum class Kind : std::uint8_t { kMsi, kReserved };  ///< IOMMU_RESV_MSI, IOMMU_RESV_RESERVED
  Iova first;
  Iova last;
  Kind kind = Kind::kMsi;
};

/// What GET_HW_INFO reports (Linux: iommu_ops::hw_info). Callers copy it, and only
/// drivers and programs know what it says.
struct HwInfo {
  static constexpr std::uint32_t kTypeNone = 0;  ///< IOMMU_HW_INFO_TYPE_NONE, DEFAULT
  std::uint32_t type = kTypeNone;                ///< abi: enum iommu_hw_info_type
  Bytes data;                                    ///< the type's struct
};

/// How an IOMMU shows in /sys (Linux: iommu_device_sysfs_add() and its groups).
struct SysfsInfo {
  struct Attribute {
    std::string name;  ///< with its group, as "group/name"
    std::string text;  ///< with its newline
  };
  std::string device;  ///< its name below /sys/class/iommu
  std::vector<Attribute> attributes;
};

class Iommu;
class NestedDomain;
class VirtualIommu;
class EventSink;
class SharedPages;

/// What the DMA of a group, or of a PASID, may go through (Linux: struct iommu_domain).
class Attachable {
 public:
  Attachable() = default;
  virtual ~Attachable() = default;
  Attachable(const Attachable&) = delete;
  Attachable& operator=(const Attachable&) = delete;
  /// The only IOMMU whose functions can use it.
  [[nodiscard]] virtual const Iommu& iommu() const = 0;

  /// Page requests of who uses it are handled (Linux: domain->iopf_handler). Set before
  /// anybody does.
  bool handles_faults = false;
};

/// How a domain says which pages DMA has written (Linux: struct iommu_dirty_ops).
class DirtyTracking {
 public:
  /// set_dirty_tracking.
  virtual Result<void> set_dirty_tracking(bool on) = 0;
  /// Told of dirty ranges, in ascending order.
  class Visitor {
   public:
    virtual void dirty(std::uint64_t first, std::uint64_t length) = 0;

   protected:
    ~Visitor() = default;
  };
  enum class Clear : bool { kNo, kYes };
  /// read_and_clear_dirty: the mappings in [first, first + length) that DMA has written, each
  /// as far as it lies inside. Precondition: no mapping is made or undone meanwhile.
  virtual void read_dirty(std::uint64_t first, std::uint64_t length, Clear clear,
                          Visitor& visitor) = 0;

 protected:
  ~DirtyTracking() = default;
};

/// A paging domain: one set of page tables that any number of functions of one IOMMU
/// may use.
///
/// Lifetime: made by Iommu::alloc_paging_domain(), whose IOMMU must outlive it;
/// used by no group when it dies.
/// Locking: any task; a driver's own lock of rank kIommuDomain.
class Domain : public Attachable {
 public:
  enum class Kind : std::uint8_t { kPlain, kNestParent };

  /// iommu_map(). Preconditions: aligned to the smallest of page_sizes(), not empty, from
  /// first_iova() to last_iova(), nothing is mapped there. Errors, nothing being mapped: EINVAL an
  /// access that the driver's tables do not have, none at all among them; ENOMEM.
  virtual Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) = 0;
  /// iommu_unmap() of a range that no large page crosses: after its return no DMA
  /// through this domain reaches it. Gives the bytes that were mapped.
  virtual std::uint64_t unmap(Iova iova, std::uint64_t length) = 0;
  /// iommu_iova_to_phys().
  [[nodiscard]] virtual std::optional<Hpa> translate(Iova iova) const = 0;

  [[nodiscard]] virtual Kind kind() const = 0;
  /// domain->dirty_ops; null without.
  [[nodiscard]] virtual DirtyTracking* dirty_tracking() { return nullptr; }
  /// domain->pgsize_bitmap.
  [[nodiscard]] virtual std::uint64_t page_sizes() const = 0;
  /// domain->geometry.aperture_start.
  [[nodiscard]] virtual std::uint64_t first_iova() const { return 0; }
  /// domain->geometry.aperture_end.
  [[nodiscard]] virtual std::uint64_t last_iova() const = 0;
};

/// What a paging domain is to be (Linux: the flags and the data of
/// iommu_ops::domain_alloc_paging_flags).
struct PagingRequest {
  std::uint32_t group = 0;  ///< of the function that it is made for
  Domain::Kind kind = Domain::Kind::kPlain;
  bool dirty_tracking = false;
  bool pasid = false;  ///< PASIDs may be attached beside it
  UserData* data = nullptr;
};

/// One IOMMU as the kernel drives it: its driver's iommu_ops, and the part of the
/// IOMMU core (drivers/iommu/iommu.c) that keeps groups: which domain each uses and
/// who owns its DMA.
///
/// Lifetime: outlives its domains.
/// Locking: any task; a driver's own lock of rank kIommuDomain (Linux:
/// group->mutex), not held while a domain's is.
class Iommu {
 public:
  Iommu() = default;
  virtual ~Iommu() = default;
  Iommu(const Iommu&) = delete;
  Iommu& operator=(const Iommu&) = delete;

  /// A function arrives as a member of `group` (iommu_ops::probe_device), and gets
  /// the default domain. `pasid_bits`: the width of its PASIDs as its capability has it
  /// (pci_max_pasids()), 0 without. Errors: ENOMEM.
  virtual Result<void> probe(Bdf function, std::uint32_t group, unsigned pasid_bits) = 0;
  Result<void> probe(Bdf function, std::uint32_t group) { return probe(function, group, 0); }
  /// A function leaves (iommu_ops::release_device): blocked. Precondition: probed.
  virtual void release(Bdf function) = 0;

  /// iommu_ops::domain_alloc_paging_flags. Errors: ENOMEM; ENOSPC when the IOMMU
  /// has no domain left.
  virtual Result<std::unique_ptr<Domain>> alloc_paging_domain(Domain::Kind kind) = 0;
  /// The same, with all that a program can ask for. Errors also: EOPNOTSUPP what the
  /// driver does not have; EINVAL, E2BIG, EFAULT of the data.
  virtual Result<std::unique_ptr<Domain>> alloc_paging_domain(const PagingRequest& request);
  /// iommu_ops::domain_alloc_nested. Errors: EOPNOTSUPP a flag (abi: enum
  /// iommufd_hwpt_alloc_flags), a type, or no nested domains at all; EINVAL; E2BIG; EFAULT.
  virtual Result<std::unique_ptr<NestedDomain>> alloc_nested(std::uint32_t group, Domain& parent,
                                                             std::uint32_t flags, UserData& data);
  /// iommu_ops::get_viommu_size: whether there are vIOMMUs of that type.
  [[nodiscard]] virtual bool has_virtual_iommu(std::uint32_t type) const;
  /// iommu_ops::viommu_init. `data`: null without. Precondition: has_virtual_iommu().
  /// Errors: EINVAL, E2BIG, EFAULT of the data; ENOMEM.
  virtual Result<std::unique_ptr<VirtualIommu>> make_virtual_iommu(std::uint32_t type,
                                                                   Domain& parent, EventSink& sink,
                                                                   SharedPages& pages,
                                                                   UserData* data);
  /// IOMMU_CAP_DIRTY_TRACKING of the group's functions.
  [[nodiscard]] virtual bool tracks_dirty(std::uint32_t group);
  /// dev->iommu->max_pasids, 0 without PASIDs.
  [[nodiscard]] virtual std::uint32_t max_pasids(std::uint32_t group);
  /// iommu_ops::user_pasid_table: page requests of a PASID that is not attached go to the
  /// nested domain of the function.
  [[nodiscard]] virtual bool user_pasid_table() const { return false; }

  /// iommu_device_claim_dma_owner(): the group's DMA is blocked until a domain
  /// is attached. Errors: EPERM owned by another, or a driver of the host uses it.
  /// Precondition: the group exists (all seven).
  virtual Result<void> claim_dma_owner(std::uint32_t group, const void* owner) = 0;
  /// iommu_device_release_dma_owner(): the last one brings the default back.
  virtual void release_dma_owner(std::uint32_t group) = 0;
  /// iommu_group_dma_owner_claimed(): by anybody, drivers of the host among them.
  [[nodiscard]] virtual bool dma_owner_claimed(std::uint32_t group) = 0;
  /// iommu_device_use_default_domain(): a driver of the host takes a function whose DMA
  /// it leaves to the default domain. Errors: EBUSY the group's DMA has an owner.
  virtual Result<void> use_default_domain(std::uint32_t group) = 0;
  /// iommu_device_unuse_default_domain(): the driver leaves.
  virtual void unuse_default_domain(std::uint32_t group) = 0;
  /// iommu_attach_group_handle(), iommu_replace_group_handle(): every function
  /// of the group uses `domain`, one of this IOMMU's, from here on, without a gap.
  /// Errors, with the group as before: ENODEV page requests from functions that make
  /// none; what else the driver does not accept.
  virtual Result<void> attach(std::uint32_t group, Attachable& domain) = 0;
  /// iommu_detach_group_handle(): blocked again.
  virtual void detach(std::uint32_t group) = 0;
  /// iommu_attach_device_pasid(), iommu_replace_device_pasid(). Errors, with the PASID as
  /// before: EOPNOTSUPP a driver without PASIDs; EINVAL functions without; the driver's.
  virtual Result<void> attach_pasid(std::uint32_t group, std::uint32_t pasid, Attachable& domain);
  /// iommu_detach_device_pasid(). Precondition: attached.
  virtual void detach_pasid(std::uint32_t group, std::uint32_t pasid);

  /// `type` is what the program asks for, HwInfo::kTypeNone for whatever there is.
  /// Errors: EOPNOTSUPP a type that the IOMMU does not have.
  [[nodiscard]] virtual Result<HwInfo> hw_info(std::uint32_t type) const = 0;
  /// Whether every domain snoops, whatever a device asks for
  /// (iommu_domain_ops::enforce_cache_coherency).
  [[nodiscard]] virtual bool enforces_coherency() const = 0;
  /// iommu_ops::get_resv_regions.
  [[nodiscard]] virtual std::vector<ReservedRegion> reserved_regions() const = 0;
  [[nodiscard]] virtual SysfsInfo sysfs() const = 0;
  /// Frames that come with what programs do and stay: a function's until its release(), a bus's
  /// for good. Nobody lost them.
  [[nodiscard]] virtual std::uint64_t kept_frames() { return 0; }
};

}  // namespace teeio::iommu
