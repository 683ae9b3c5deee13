#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "host/iommu/groups.h"
#include "host/iommu/iommu.h"
#include "host/iommu/mock/domain.h"
#include "host/iommu/virtual_iommu.h"
#include "schedule/mutex.h"

namespace teeio::mock {

class NestedDomain;
class VirtualIommu;

/// The mock IOMMU's driver (Linux: mock_ops and mock_iommu of
/// drivers/iommu/iommufd/selftest.c; each method names its function). Every function is
/// alone in its group.
///
/// Lifetime: outlives its domains and vIOMMUs.
/// Locking: own lock of rank kIommuDomain (Linux: group->mutex, the devices' viommu_rwsem).
class Iommu final : public iommu::Iommu {
 public:
  static constexpr std::uint32_t kSelftestHwInfo = 0xfeedbeef;    ///< IOMMU_HW_INFO_TYPE_SELFTEST
  static constexpr std::uint32_t kRegisterValue = 0xdeadbeef;     ///< .._SELFTEST_REGVAL
  static constexpr std::uint32_t kHwptData = 0xdead;              ///< IOMMU_HWPT_DATA_SELFTEST
  static constexpr std::uint32_t kHwptInvalidate = 0xdeadbeef;    ///< .._INVALIDATE_DATA_SELFTEST
  static constexpr std::uint32_t kViommuType = 0xdeadbeef;        ///< IOMMU_VIOMMU_TYPE_SELFTEST
  static constexpr std::uint32_t kViommuInvalidate = 0xdeadbeef;  ///< ditto, of a vIOMMU
  static constexpr std::uint32_t kVeventqType = 0xbeefbeef;       ///< IOMMU_VEVENTQ_TYPE_SELFTEST
  static constexpr std::uint32_t kQueueType = 0xdeadbeef;         ///< IOMMU_HW_QUEUE_TYPE_SELFTEST
  static constexpr std::uint32_t kAllocPasid = 8;                 ///< IOMMU_HWPT_ALLOC_PASID
  static constexpr std::uint32_t kPasidWidth = 20;                ///< MOCK_PASID_WIDTH
  static constexpr std::uint32_t kCacheDefault = 0xbaddad;        ///< IOMMU_TEST_DEV_CACHE_DEFAULT
  static constexpr std::uint32_t kCaches = 4;                     ///< MOCK_DEV_CACHE_NUM
  /// The PASID whose second attachment in a row fails (IOMMU_TEST_PASID_RESERVED).
  static constexpr std::uint32_t kFailingPasid = 1024;

  struct FunctionKind {
    bool no_dirty = false;  ///< MOCK_FLAGS_DEVICE_NO_DIRTY
    bool pasid = false;     ///< MOCK_FLAGS_DEVICE_PASID
  };
  /// Says what the function that probe() brings into `group` can do. Before it.
  void declare(std::uint32_t group, FunctionKind kind) TEEIO_EXCLUDES(mutex_);
  /// mock_dev::cache, or nullopt for no such entry.
  [[nodiscard]] std::optional<std::uint32_t> cache(std::uint32_t group, std::uint32_t index)
      TEEIO_EXCLUDES(mutex_);
  /// Reports `virt_id` of the function to the vIOMMU that it is attached behind. Errors:
  /// ENOENT none; EventSink::report()'s. Precondition: nobody attaches or detaches meanwhile.
  Result<void> trigger_event(std::uint32_t group) TEEIO_EXCLUDES(mutex_);
  /// What `pasid` of the function is attached to, null for nothing; 0: the function itself.
  [[nodiscard]] const iommu::Attachable* attached(std::uint32_t group, std::uint32_t pasid)
      TEEIO_EXCLUDES(mutex_);

  using iommu::Iommu::probe;
  Result<void> probe(Bdf function, std::uint32_t group, unsigned pasid_bits) override
      TEEIO_EXCLUDES(mutex_);
  void release(Bdf function) override TEEIO_EXCLUDES(mutex_);

  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(iommu::Domain::Kind kind) override;
  /// mock_domain_alloc_paging_flags().
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(
      const iommu::PagingRequest& request) override;
  /// mock_domain_alloc_nested().
  Result<std::unique_ptr<iommu::NestedDomain>> alloc_nested(std::uint32_t group,
                                                            iommu::Domain& parent,
                                                            std::uint32_t flags,
                                                            iommu::UserData& data) override;
  [[nodiscard]] bool has_virtual_iommu(std::uint32_t type) const override {
    return type == kViommuType;
  }
  /// mock_viommu_init().
  Result<std::unique_ptr<iommu::VirtualIommu>> make_virtual_iommu(std::uint32_t type,
                                                                  iommu::Domain& parent,
                                                                  iommu::EventSink& sink,
                                                                  iommu::SharedPages& pages,
                                                                  iommu::UserData* data) override;
  [[nodiscard]] bool tracks_dirty(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::uint32_t max_pasids(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] bool user_pasid_table() const override { return true; }

  Result<void> claim_dma_owner(std::uint32_t group, const void* owner) override
      TEEIO_EXCLUDES(mutex_);
  void release_dma_owner(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] bool dma_owner_claimed(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  Result<void> use_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  void unuse_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  /// mock_domain_nop_attach(). Errors: EINVAL a domain that tracks dirty pages, for a
  /// function that cannot; ENOENT a nested one of a vIOMMU in which the function has no
  /// vDEVICE.
  Result<void> attach(std::uint32_t group, iommu::Attachable& domain) override
      TEEIO_EXCLUDES(mutex_);
  void detach(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  /// mock_domain_set_dev_pasid_nop(). Errors: EINVAL a function with so few PASIDs; ENOMEM
  /// kFailingPasid.
  Result<void> attach_pasid(std::uint32_t group, std::uint32_t pasid,
                            iommu::Attachable& domain) override TEEIO_EXCLUDES(mutex_);
  void detach_pasid(std::uint32_t group, std::uint32_t pasid) override TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] Result<iommu::HwInfo> hw_info(std::uint32_t type) const override;
  [[nodiscard]] bool enforces_coherency() const override { return false; }
  [[nodiscard]] std::vector<iommu::ReservedRegion> reserved_regions() const override { return {}; }
  [[nodiscard]] iommu::SysfsInfo sysfs() const override {
    return {.device = "iommufd_selftest_iommu.0", .attributes = {}};
  }

 private:
  friend class VirtualIommu;
  /// Linux: struct mock_dev.
  struct Function {
    FunctionKind kind;
    std::array<std::uint32_t, kCaches> cache{};
    VirtualIommu* viommu = nullptr;  ///< that of the nested domain that it is attached to
    std::uint64_t virt_id = 0;
    bool next_fails = false;  ///< pasid_1024_fake_error
    std::map<std::uint32_t, iommu::Attachable*> pasids;
  };
  Function& at(std::uint32_t group) TEEIO_REQUIRES(mutex_);

  schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  iommu::Groups groups_ TEEIO_GUARDED_BY(mutex_);
  std::map<std::uint32_t, Function> functions_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::mock
