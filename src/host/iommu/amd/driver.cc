#include "host/iommu/amd/driver.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/check.h"
#include "hw/amd_iommu/registers.h"

namespace teeio::amdvi {
namespace {

using namespace hw::amd;

/// Domain id 0 is not given out (pdom_id_alloc()).
constexpr std::uint32_t kFirstDomainId = 1;
constexpr std::uint32_t kDomainIds = 1U << 16U;

constexpr std::uint64_t kLogPages = 2;  // EVT_BUFFER_SIZE: 512 entries
constexpr std::uint64_t k512Entries = std::uint64_t{9} << 56U;
/// The IOMMU's PCI capability header: capability 0xf, IOMMU, revision 1, EFR and the
/// extended header. Source: specification 3.2.1.
constexpr std::uint32_t kCapability = 0x180b'640f;
/// IOMMU_HW_INFO_TYPE_AMD, whose struct is iommu_hw_info_amd.
constexpr std::uint32_t kTypeAmd = 4;

}  // namespace

Result<std::unique_ptr<Driver>> Driver::create(hw::PhysicalMemory& memory, hw::AmdIommu& hardware,
                                               DefaultDomain default_domain,
                                               std::uint8_t last_bus) {
  const bool snp = (hardware.read_register(kExtendedFeatures) & kSnpSupported) != 0;
  const DefaultDomain allowed = snp ? DefaultDomain::kTranslated : default_domain;
  auto driver = std::unique_ptr<Driver>(new Driver(memory, hardware, allowed, last_bus));
  TEEIO_TRY(driver->set_up());
  return driver;
}

std::uint64_t Driver::device_table_pages() const {
  constexpr std::uint64_t kBusBytes = 256 * kDteBytes;
  return (last_bus_ + std::uint64_t{1}) * kBusBytes / kPageSize;
}

/// early_amd_iommu_init() to early_enable_iommu().
Result<void> Driver::set_up() {
  TEEIO_ASSIGN(device_table_, alloc_contiguous(memory_, device_table_pages()));
  TEEIO_ASSIGN(event_log_, alloc_contiguous(memory_, kLogPages));
  TEEIO_ASSIGN(queue_, CommandQueue::create(memory_, hardware_));
  for (std::uint32_t rid = 0; rid < (last_bus_ + 1U) * 256; ++rid)
    write_entry(static_cast<std::uint16_t>(rid), kDteValid, 0);
  hardware_.write_register(kDeviceTable, raw(device_table_) | (device_table_pages() - 1));
  hardware_.write_register(kCommandBase, raw(queue_->base()) | k512Entries);
  hardware_.write_register(kEventBase, raw(event_log_) | k512Entries);
  hardware_.set_event_interrupt([this] { poll_events(); });
  hardware_.write_register(kControl, kIommuEnable | kEventLogEnable | kCommandEnable);
  queue_->invalidate_all();
  return {};
}

Driver::~Driver() {
  TEEIO_CHECK(domain_ids_.empty(), "a domain outlives its IOMMU driver");
  // disable_iommu(); a set-up that failed has not come that far.
  hardware_.write_register(kControl, 0);
  hardware_.set_event_interrupt({});
  for (std::uint64_t i = 0; raw(device_table_) != 0 && i < device_table_pages(); ++i)
    memory_.free_page(device_table_ + i * kPageSize);
  for (std::uint64_t i = 0; raw(event_log_) != 0 && i < kLogPages; ++i)
    memory_.free_page(event_log_ + i * kPageSize);
}

/// write_dte_lower128(): half an entry in one access.
void Driver::write_entry(std::uint16_t rid, std::uint64_t q0, std::uint64_t q1) {
  const std::uint64_t words[2] = {q0, q1};
  memory_.touch_tables(hw::PhysicalMemory::Tables::kShared, schedule::Touch::How::kUpdate);
  TEEIO_CHECK(memory_.write(device_table_ + rid * kDteBytes, bytes_of(words)).has_value(),
              "the device table lies outside of memory");
}

/// amd_iommu_set_dte(), or clear_dte_entry(); then device_flush_dte().
void Driver::program(const iommu::Group& group, Bdf function) {
  constexpr std::uint64_t kOn = kDteValid | kDteTranslationValid | kDteRead | kDteWrite;
  std::uint64_t q0 = kDteValid;
  std::uint64_t q1 = 0;
  if (group.domain != nullptr) {
    const auto& domain = static_cast<const Domain&>(*group.domain);
    const std::uint64_t top = domain.top();
    q0 = kOn | (top & kAddressField) | (top & 7U) << kDteMode;
    if (domain.tracks_dirty_) q0 |= kDteTracksDirty;
    q1 = domain.id();
  } else if (group.owner == nullptr && default_domain_ == DefaultDomain::kIdentity) {
    q0 = kOn;
  }
  write_entry(function.rid(), q0, q1);
  queue_->invalidate_device(function.rid());
}

void Driver::apply(const iommu::Group& group) {
  for (const Bdf function : group.functions) program(group, function);
}

Result<void> Driver::probe(Bdf function, std::uint32_t group, unsigned) {
  const schedule::Lock lock(mutex_);
  if (function.bus > last_bus_)
    return fail(Errno::kNoDev, "the IOMMU's device table has no such bus");
  TEEIO_CHECK(functions_.insert(function).second, "a function is probed twice");
  program(groups_.join(group, function), function);
  return {};
}

void Driver::release(Bdf function) {
  const schedule::Lock lock(mutex_);
  TEEIO_CHECK(functions_.erase(function) == 1, "a function is released that was not probed");
  groups_.leave(function);
  write_entry(function.rid(), kDteValid, 0);
  queue_->invalidate_device(function.rid());
}

Result<std::unique_ptr<iommu::Domain>> Driver::alloc_paging_domain(iommu::Domain::Kind kind) {
  return alloc_paging_domain(iommu::PagingRequest{.kind = kind});
}

Result<std::unique_ptr<iommu::Domain>> Driver::alloc_paging_domain(
    const iommu::PagingRequest& request) {
  if (request.data != nullptr)
    return fail(Errno::kOpNotSupp, "a paging HWPT takes no data of the IOMMU's");
  if (request.pasid)
    return fail(Errno::kOpNotSupp, "the IOMMU has no tables in the guest's format, as PASIDs need");
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
  return std::unique_ptr<iommu::Domain>(new Domain(*this, request, domain_id, std::move(table)));
}

void Driver::free_domain_id(std::uint16_t id) {
  queue_->invalidate_domain(id);
  const schedule::Lock lock(mutex_);
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

/// detach_device(): the domain's translations go with its last device; here always.
void Driver::detach(std::uint32_t number) {
  const schedule::Lock lock(mutex_);
  const auto* domain = static_cast<const Domain*>(groups_.at(number).domain);
  apply(groups_.detach(number));
  if (domain != nullptr) queue_->invalidate_domain(domain->id());
}

void Driver::set_dirty_tracking(Domain& domain, bool on) {
  const schedule::Lock lock(mutex_);
  if (domain.tracks_dirty_ == on) return;
  domain.tracks_dirty_ = on;
  for (const auto& [number, group] : groups_.all())
    if (group.domain == &domain) apply(group);
  // amd_iommu_domain_flush_all(): the next translation of each page marks it.
  queue_->invalidate_domain(domain.id());
}

void Driver::top_changed(const Domain& domain) {
  const schedule::Lock lock(mutex_);
  for (const auto& [number, group] : groups_.all())
    if (group.domain == &domain) apply(group);
}

Result<iommu::HwInfo> Driver::hw_info(std::uint32_t type) const {
  if (type != iommu::HwInfo::kTypeNone && type != kTypeAmd)
    return fail(Errno::kOpNotSupp, "the IOMMU has no information of this type");
  Writer data;
  data.le(hardware_.read_register(kExtendedFeatures));
  data.le(hardware_.read_register(kExtendedFeatures2));
  return iommu::HwInfo{.type = kTypeAmd, .data = std::move(data).take()};
}

std::vector<iommu::ReservedRegion> Driver::reserved_regions() const {
  return {{hw::kInterruptRangeStart, hw::kInterruptRangeLast},
          {hw::kHtRangeStart, hw::kHtRangeLast, iommu::ReservedRegion::Kind::kReserved}};
}

iommu::SysfsInfo Driver::sysfs() const {
  return {.device = fmt::format("ivhd{}", hardware_.id()),
          .attributes = {{"amd-iommu/cap", fmt::format("{:x}\n", kCapability)},
                         {"amd-iommu/features",
                          fmt::format("{:x}:{:x}\n", hardware_.read_register(kExtendedFeatures),
                                      hardware_.read_register(kExtendedFeatures2))}}};
}

/// iommu_poll_events(), and amd_iommu_restart_event_logging() after an overflow.
void Driver::poll_events() {
  event_turn_.touch(0, schedule::Touch::How::kUpdate);  // each event is counted once, by whomever
  const schedule::RawLockGuard guard(event_lock_);
  std::uint64_t head = hardware_.read_register(kEventHead);
  const std::uint64_t tail = hardware_.read_register(kEventTail);
  while (head != tail) {
    const auto low = memory_.read_u64(event_log_ + head);
    if (low) ++event_counts_[*low >> 60U];
    head = (head + kEventBytes) % (kLogPages * kPageSize);
  }
  hardware_.write_register(kEventHead, head);
  hardware_.write_register(kStatus, kEventInterrupt);
}

std::array<std::uint64_t, 16> Driver::event_counts() const {
  event_turn_.touch(0, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(event_lock_);
  return event_counts_;
}

}  // namespace teeio::amdvi
