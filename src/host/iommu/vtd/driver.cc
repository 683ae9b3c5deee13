#include "host/iommu/vtd/driver.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/check.h"

namespace teeio::vtd {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kFourLevels = std::uint64_t{2} << 2U;   // PASID entry q0 4:2, AW
constexpr std::uint64_t kSecondStage = std::uint64_t{2} << 6U;  // q0 8:6, PGTT
constexpr std::uint64_t kPassThrough = std::uint64_t{4} << 6U;
/// Ids 0 and 1 mean something to hardware and to Linux (IDA_START_DID).
constexpr std::uint32_t kFirstDomainId = 2;
constexpr std::uint32_t kDomainIds = 1U << 16U;

/// Capability bits. Source: Intel VT-d spec 11.4.2 and 11.4.3; which of them
/// Linux looks at: drivers/iommu/intel/iommu.h.
constexpr std::uint64_t kCap = std::uint64_t{6} << 0U      // ND: 2^16 domain ids
                               | std::uint64_t{4} << 8U    // SAGAW: four levels
                               | std::uint64_t{47} << 16U  // MGAW: 48 bits
                               | std::uint64_t{3} << 34U   // SSLPS: 2 MiB, 1 GiB
                               | std::uint64_t{1} << 39U   // PSI
                               | std::uint64_t{18} << 48U  // MAMV
                               | std::uint64_t{3} << 54U;  // DWD, DRD
constexpr std::uint64_t kSnoopControl = std::uint64_t{1} << 7U;
/// Without NEST: no first stage is walked over a second one here, and a VMM that reads NEST
/// asks for a nested HWPT.
constexpr std::uint64_t kEcap = std::uint64_t{1} << 0U      // C: coherent walks
                                | std::uint64_t{1} << 1U    // QI
                                | std::uint64_t{1} << 3U    // IR
                                | std::uint64_t{1} << 6U    // PT
                                | kSnoopControl             // SC
                                | std::uint64_t{1} << 43U   // SMTS: scalable mode
                                | std::uint64_t{1} << 46U;  // SSTS: second stage
/// IOMMU_HW_INFO_TYPE_INTEL_VTD, whose struct is iommu_hw_info_vtd.
constexpr std::uint32_t kTypeVtd = 1;
/// IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17, which Linux 7.3 reports always.
constexpr std::uint32_t kErrata772415 = 1;

std::uint16_t half_of(Bdf function) {
  return static_cast<std::uint16_t>(function.bus << 1U | (function.device >> 4U));
}

}  // namespace

Result<std::unique_ptr<Driver>> Driver::create(hw::PhysicalMemory& memory, hw::VtdIommu& hardware,
                                               DefaultDomain default_domain, Model model) {
  auto driver = std::unique_ptr<Driver>(new Driver(memory, hardware, default_domain, model));
  {
    const schedule::Lock lock(driver->mutex_);
    TEEIO_ASSIGN(driver->root_table_, driver->alloc_table());
    hardware.set_root(hw::TBit::kShared, driver->root_table_);
  }
  return driver;
}

Driver::Driver(hw::PhysicalMemory& memory, hw::VtdIommu& hardware, DefaultDomain default_domain,
               Model model)
    : memory_(memory), hardware_(hardware), default_domain_(default_domain), model_(model) {}

Driver::~Driver() {
  hardware_.set_root(hw::TBit::kShared, std::nullopt);
  hardware_.invalidate_all(hw::TBit::kShared);
  TEEIO_CHECK(domain_ids_.empty(), "a domain outlives its IOMMU driver");
  for (const Hpa frame : tables_) memory_.free_page(frame);
}

Result<Hpa> Driver::alloc_table() {
  TEEIO_ASSIGN(const Hpa frame, memory_.alloc_page());
  tables_.push_back(frame);
  return frame;
}

void Driver::write(Hpa address, std::uint64_t value) {
  TEEIO_CHECK(memory_.write_u64(address, value).has_value(),
              "an IOMMU table lies outside of memory");
}

Result<Hpa> Driver::context_table_for(Bdf function) {
  const auto known = context_tables_.find(half_of(function));
  if (known != context_tables_.end()) return known->second;
  TEEIO_ASSIGN(const Hpa table, alloc_table());
  write(root_table_ + 8 * std::uint64_t{half_of(function)}, raw(table) | kPresent);
  context_tables_.emplace(half_of(function), table);
  return table;
}

Result<void> Driver::probe(Bdf function, std::uint32_t group_number) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(!functions_.contains(function), "a function is probed twice");
  TEEIO_ASSIGN(const Hpa context, context_table_for(function));
  TEEIO_ASSIGN(const Hpa directory, alloc_table());
  TEEIO_ASSIGN(const Hpa pasids, alloc_table());
  write(directory, raw(pasids) | kPresent);
  const std::uint64_t devfn = function.rid() & 0x7fU;  // within this half of the bus
  write(context + 32 * devfn, raw(directory) | kPresent);
  functions_.emplace(function, Function{directory, pasids});
  program(function, setting_of(groups_.join(group_number, function)));
  return {};
}

void Driver::release(Bdf function) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(functions_.contains(function), "a function is released that was not probed");
  program(function, {Setting::Kind::kBlocked});
  functions_.erase(function);
  groups_.leave(function);
}

Driver::Setting Driver::setting_of(const iommu::Group& group) const {
  if (const auto* domain = static_cast<const Domain*>(group.domain))
    return {Setting::Kind::kSecondStage, domain->root(), domain->id()};
  if (group.owner != nullptr || default_domain_ == DefaultDomain::kTranslated)
    return {Setting::Kind::kBlocked};
  return {Setting::Kind::kIdentity};
}

void Driver::program(Bdf function, const Setting& setting) {
  const Hpa entry = functions_.at(function).pasid_table;
  std::uint64_t q0 = 0;
  switch (setting.kind) {
    case Setting::Kind::kBlocked:
      break;
    case Setting::Kind::kIdentity:
      q0 = kPresent | kFourLevels | kPassThrough;
      break;
    case Setting::Kind::kSecondStage:
      q0 = kPresent | kFourLevels | kSecondStage | raw(setting.root);
      break;
  }
  // The old entry is off and forgotten before the new one can be walked:
  // intel_pasid_replace_second_level() writes the entry and then flushes.
  write(entry + 8, setting.domain_id);
  write(entry, q0);
  hardware_.invalidate_function(hw::TBit::kShared, function.rid());
}

void Driver::apply(const iommu::Group& group) {
  const Setting setting = setting_of(group);
  for (const Bdf function : group.functions) program(function, setting);
}

Result<std::unique_ptr<iommu::Domain>> Driver::alloc_paging_domain(iommu::Domain::Kind kind) {
  TEEIO_ASSIGN(std::unique_ptr<PageTable> table, PageTable::create(memory_));
  const schedule::Lock lock(mutex_);
  std::uint32_t id = kFirstDomainId;
  for (const std::uint16_t used : domain_ids_) {
    if (used != id) break;
    ++id;
  }
  if (id == kDomainIds) return fail(Errno::kNoSpc, "every domain id of the IOMMU is in use");
  const auto domain_id = static_cast<std::uint16_t>(id);
  domain_ids_.insert(domain_id);
  return std::unique_ptr<iommu::Domain>(new Domain(*this, kind, domain_id, std::move(table)));
}

void Driver::free_domain_id(std::uint16_t id) {
  const schedule::Lock lock(mutex_);
  hardware_.invalidate_domain(hw::TBit::kShared, id);
  domain_ids_.erase(id);
}

Result<void> Driver::claim_dma_owner(std::uint32_t number, const void* owner) {
  const schedule::Lock lock(mutex_);
  TEEIO_ASSIGN(const iommu::Group* changed, groups_.claim(number, owner));
  if (changed != nullptr) apply(*changed);
  return {};
}

void Driver::release_dma_owner(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  if (const iommu::Group* changed = groups_.release(number)) apply(*changed);
}

bool Driver::dma_owner_claimed(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  return groups_.at(number).owner_count != 0;
}

Result<void> Driver::use_default_domain(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  return groups_.use_default_domain(number);
}

void Driver::unuse_default_domain(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  groups_.unuse_default_domain(number);
}

Result<void> Driver::attach(std::uint32_t number, iommu::Attachable& domain) {
  TEEIO_CHECK(&domain.iommu() == this, "a domain is attached behind another IOMMU");
  if (domain.handles_faults) return fail(Errno::kNoDev, "no function here makes page requests");
  const schedule::Lock lock(mutex_);
  apply(groups_.attach(number, domain));
  return {};
}

void Driver::detach(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  apply(groups_.detach(number));
}

Result<iommu::HwInfo> Driver::hw_info(std::uint32_t type) const {
  if (model_ == Model::kStandIn) return iommu::HwInfo{};
  if (type != iommu::HwInfo::kTypeNone && type != kTypeVtd)
    return fail(Errno::kOpNotSupp, "the IOMMU has no information of this type");
  Writer data;
  data.le(kErrata772415);
  data.le(std::uint32_t{0});
  data.le(kCap);
  data.le(kEcap);
  return iommu::HwInfo{.type = kTypeVtd, .data = std::move(data).take()};
}

bool Driver::enforces_coherency() const { return (kEcap & kSnoopControl) != 0; }

std::vector<iommu::ReservedRegion> Driver::reserved_regions() const {
  return {{hw::kInterruptRangeStart, hw::kInterruptRangeLast}};
}

iommu::SysfsInfo Driver::sysfs() const {
  if (model_ == Model::kStandIn)
    return {.device = fmt::format("iommu{}", hardware_.id()), .attributes = {}};
  return {.device = fmt::format("dmar{}", hardware_.id()),
          .attributes = {{"intel-iommu/cap", fmt::format("{:x}\n", kCap)},
                         {"intel-iommu/ecap", fmt::format("{:x}\n", kEcap)}}};
}

}  // namespace teeio::vtd
