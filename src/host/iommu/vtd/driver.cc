#include "host/iommu/vtd/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace teeio::vtd {
namespace {

constexpr std::uint64_t kPresent = 1;
// Context entry.
constexpr std::uint64_t kPasidEnable = std::uint64_t{1} << 3U;
constexpr unsigned kDirectorySize = 9;

/// Capability bits. Source: Intel VT-d spec 11.4.2 and 11.4.3; which of them
/// Linux looks at: drivers/iommu/intel/iommu.h.
constexpr std::uint64_t kCap = std::uint64_t{6} << 0U      // ND: 2^16 domain ids
                               | std::uint64_t{4} << 8U    // SAGAW: four levels
                               | std::uint64_t{47} << 16U  // MGAW: 48 bits
                               | std::uint64_t{3} << 34U   // SSLPS: 2 MiB, 1 GiB
                               | std::uint64_t{1} << 39U   // PSI
                               | std::uint64_t{18} << 48U  // MAMV
                               | std::uint64_t{3} << 54U   // DWD, DRD
                               | std::uint64_t{1} << 56U;  // FS1GP: 1 GiB in a first stage
constexpr std::uint64_t kSnoopControl = std::uint64_t{1} << 7U;
/// PSS: one less than the PASIDs' width.
constexpr std::uint64_t kPasidBits = PasidTable::kBits;
/// NEST without FSTS: a first stage is walked over a second one only, so Linux's choice for
/// HWPTs without flags stays the second stage.
constexpr std::uint64_t kEcap = std::uint64_t{1} << 0U      // C: coherent walks
                                | std::uint64_t{1} << 1U    // QI
                                | std::uint64_t{1} << 3U    // IR
                                | std::uint64_t{1} << 6U    // PT
                                | kSnoopControl             // SC
                                | std::uint64_t{1} << 26U   // NEST
                                | (kPasidBits - 1) << 35U   // PSS
                                | std::uint64_t{1} << 40U   // PASID
                                | std::uint64_t{1} << 43U   // SMTS: scalable mode
                                | std::uint64_t{1} << 45U   // SSADS: dirty bits
                                | std::uint64_t{1} << 46U   // SSTS: second stage
                                | std::uint64_t{1} << 48U;  // SMPWC: walks are coherent
/// IOMMU_HW_INFO_TYPE_INTEL_VTD, whose struct is iommu_hw_info_vtd.
constexpr std::uint32_t kTypeVtd = 1;
/// IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17, which Linux 7.3 reports always.
constexpr std::uint32_t kErrata772415 = 1;

std::uint16_t half_of(Bdf function) {
  return static_cast<std::uint16_t>(function.bus << 1U | (function.device >> 4U));
}
Hpa context_entry(Hpa table, Bdf function) {
  return table + 32 * std::uint64_t{function.rid() & 0x7fU};  // within this half of the bus
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

Result<void> Driver::probe(Bdf function, std::uint32_t group_number, unsigned pasid_bits) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(!functions_.contains(function), "a function is probed twice");
  TEEIO_ASSIGN(const Hpa context, context_table_for(function));
  TEEIO_ASSIGN(auto pasids, PasidTable::create(memory_));
  std::uint64_t entry = raw(pasids->directory()) | kPresent;
  std::uint32_t max_pasids = 0;
  if (pasid_bits != 0 && model_ == Model::kIntel) {
    max_pasids = 1U << std::min<std::uint64_t>(pasid_bits, kPasidBits);
    entry |= kPasidEnable | PasidTable::kDirectorySize << kDirectorySize;
  }
  write(context_entry(context, function), entry);
  functions_.emplace(function, Function{.pasids = std::move(pasids), .max_pasids = max_pasids});
  program(function, 0, setting_of(groups_.join(group_number, function)));
  return {};
}

void Driver::release(Bdf function) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(functions_.contains(function), "a function is released that was not probed");
  program(function, 0, {});
  // Nobody walks the directory any more when its pages go.
  write(context_entry(context_tables_.at(half_of(function)), function), 0);
  hardware_.invalidate_function(hw::TBit::kShared, function.rid());
  functions_.erase(function);
  groups_.leave(function);
}

std::uint64_t Driver::kept_frames() {
  const schedule::Lock lock(mutex_);
  std::uint64_t frames = context_tables_.size();
  for (const auto& [bdf, function] : functions_) frames += function.pasids->kept_frames();
  return frames;
}

PasidSetting Driver::setting_of(const iommu::Attachable& attached) {
  const auto* nested = dynamic_cast<const NestedDomain*>(&attached);
  const Domain& domain =
      nested != nullptr ? nested->parent() : static_cast<const Domain&>(attached);
  return {
      .kind = nested != nullptr ? PasidSetting::Kind::kNested : PasidSetting::Kind::kSecondStage,
      .second_stage = domain.root(),
      .first_stage = nested != nullptr ? nested->table() : 0,
      .domain_id = nested != nullptr ? nested->id() : domain.id(),
      .tracks_dirty = domain.tracks_dirty_};
}

PasidSetting Driver::setting_of(const iommu::Group& group) const {
  if (group.domain != nullptr) return setting_of(*group.domain);
  if (group.owner != nullptr || default_domain_ == DefaultDomain::kTranslated) return {};
  return {.kind = PasidSetting::Kind::kIdentity};
}

// intel_pasid_replace_*(), intel_pasid_tear_down_entry(): the new entry in one step, and what
// the hardware knows of the old one is forgotten.
void Driver::program(Bdf function, std::uint32_t pasid, const PasidSetting& setting) {
  PasidTable& table = *functions_.at(function).pasids;
  const PasidSetting old = table.write(pasid, setting);
  if (pasid == 0)
    hardware_.invalidate_function(hw::TBit::kShared, function.rid());
  else
    hardware_.invalidate_pasid_cache(hw::TBit::kShared, old.domain_id, hw::Pasid{pasid});
  // A second stage's own changes are flushed whoever uses it; a first stage's only while
  // somebody does.
  const bool same_domain = old.domain_id == setting.domain_id;
  if (old.kind == PasidSetting::Kind::kNested ||
      (same_domain && old.tracks_dirty != setting.tracks_dirty))
    hardware_.invalidate_domain(hw::TBit::kShared, old.domain_id);
}

void Driver::apply(const iommu::Group& group) {
  const PasidSetting setting = setting_of(group);
  for (const Bdf function : group.functions) program(function, 0, setting);
}

void Driver::apply_pasid(std::uint32_t number, std::uint32_t pasid, const PasidSetting& setting) {
  for (const Bdf function : groups_.at(number).functions)
    if (functions_.at(function).max_pasids != 0) program(function, pasid, setting);
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
