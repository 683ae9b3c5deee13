#include "host/iommu/vtd/nested.h"

#include "base/bytes.h"
#include "host/iommu/vtd/domain.h"
#include "host/iommu/vtd/driver.h"

namespace teeio::vtd {
namespace {

constexpr std::uint32_t kDataVtdS1 = 1;        // IOMMU_HWPT_DATA_VTD_S1
constexpr std::uint32_t kInvalidateVtdS1 = 0;  // IOMMU_HWPT_INVALIDATE_DATA_VTD_S1
constexpr std::uint64_t kSupervisor = 1;       // IOMMU_VTD_S1_SRE
constexpr std::uint64_t kExtendedAccess = 2;   // IOMMU_VTD_S1_EAFE
constexpr std::uint32_t kAddressWidth = 48;    // ADDR_WIDTH_4LEVEL
constexpr std::uint32_t kLeafOnly = 1;         // IOMMU_VTD_INV_FLAGS_LEAF

/// struct iommu_hwpt_vtd_s1_invalidate.
struct Command {
  std::uint64_t address;
  std::uint64_t pages;
  std::uint32_t flags;
  std::uint32_t reserved;
};

Result<void> check_command(const Command& command) {
  if ((command.flags & ~kLeafOnly) != 0 || command.reserved != 0)
    return fail(Errno::kOpNotSupp, "unknown flag of an invalidation");
  if (!is_page_aligned(command.address))
    return fail(Errno::kInval, "the address of an invalidation is no page's");
  if (command.pages == ~std::uint64_t{0} && command.address != 0)
    return fail(Errno::kInval, "all pages are invalidated from address 0");
  return {};
}

}  // namespace

NestedDomain::NestedDomain(Driver& driver, Domain& parent, std::uint16_t id, const Config& config)
    : driver_(driver), parent_(parent), id_(id), config_(config) {
  parent_.add_nested(id_);
}

NestedDomain::~NestedDomain() {
  parent_.remove_nested(id_);
  driver_.free_domain_id(id_);
}

Result<std::unique_ptr<NestedDomain>> NestedDomain::create(Driver& driver, iommu::Domain& parent,
                                                           iommu::UserData& data) {
  if (data.type() != kDataVtdS1)
    return fail(Errno::kOpNotSupp, "the IOMMU makes nested HWPTs of VT-d first-stage data only");
  if (parent.kind() != iommu::Domain::Kind::kNestParent)
    return fail(Errno::kInval, "the HWPT below is no nest parent");
  Config config{};
  TEEIO_TRY(iommu::copy_struct(data, 0, kDataVtdS1, sizeof(config), writable_bytes_of(config)));
  TEEIO_ASSIGN(const std::uint16_t id, driver.alloc_domain_id());
  return std::unique_ptr<NestedDomain>(
      new NestedDomain(driver, static_cast<Domain&>(parent), id, config));
}

const iommu::Iommu& NestedDomain::iommu() const { return driver_; }

Result<void> NestedDomain::check() const {
  if (config_.address_width != kAddressWidth)
    return fail(Errno::kInval, "the IOMMU's first stage has addresses of 48 bits");
  if ((config_.flags & kSupervisor) != 0)
    return fail(Errno::kInval, "the IOMMU has no supervisor requests");
  if ((config_.flags & kExtendedAccess) != 0)
    return fail(Errno::kInval, "the IOMMU has no extended-accessed flag");
  return {};
}

Result<void> NestedDomain::invalidate(iommu::UserData& commands, std::uint32_t& done) {
  if (commands.type() != kInvalidateVtdS1)
    return fail(Errno::kInval, "the commands are not of VT-d's first stage");
  for (std::uint32_t i = 0; i < commands.count(); ++i) {
    Command command{};
    TEEIO_TRY(iommu::copy_struct(commands, i, kInvalidateVtdS1, sizeof(command),
                                 writable_bytes_of(command)));
    TEEIO_TRY(check_command(command));
    driver_.flush_first_stage(*this, Iova{command.address}, command.pages);
    ++done;
  }
  return {};
}

}  // namespace teeio::vtd
