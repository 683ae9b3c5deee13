#include "firmware/tdx/module.h"

#include <utility>

#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/state.h"

namespace teeio::tdx {
State::State(hw::PhysicalMemory& m, object::Trace& t, Platform p)
    : memory(m), trace(t), api(p.api), channels(std::move(p.channels)) {
  TEEIO_CHECK(p.iommus.size() <= kMaxIommus && p.hkids >= 1 && p.hkids < 0x1000,
              "a platform within the module's limits");
  hkids.assign(std::size_t{p.hkids} + 1, HkidState::kFree);
  for (Platform::Wiring& wiring : p.iommus) {
    IommuState& iommu = iommus.emplace_back(mutex, static_cast<std::uint32_t>(iommus.size()));
    iommu.iommu = wiring.iommu;
    iommu.root_ports = std::move(wiring.root_ports);
    iommu.registers = wiring.registers;
  }
}

bool State::is_ram(Hpa page) {
  return page >= hw::PhysicalMemory::kRamBase && page < hw::PhysicalMemory::kWindowBase &&
         !memory.direct(page).empty();
}

void State::take_page(Hpa page, PageType type, Hpa owner, hw::KeyId key) {
  pamt.take(page, type, owner);
  memory.give_page(page, key);
}

void State::take_iommu_page(std::uint32_t iommu, Hpa page) {
  take_page(page, PageType::kIommuMt, Hpa{0}, hw::KeyId{kModuleKey});
  PamtEntry& entry = pamt.entry(page);
  entry.iommu = iommu;
  entry.generation = std::as_const(iommus)[iommu].generation;
}

void State::release_page(Hpa page) {
  pamt.give_back(page);
  memory.give_page(page, hw::KeyId::kShared);  // the host never could read it in clear
}

Td* State::find_td(Hpa tdr) {
  const auto at = tds.find(raw(tdr));
  return at == tds.end() ? nullptr : &at->second;
}

const Td* State::look_at_td(Hpa tdr) const {
  const auto at = tds.find(raw(tdr));
  return at == tds.end() ? nullptr : &at->second;
}

Vcpu* State::find_vcpu(Hpa tdvpr) {
  const auto at = vcpus.find(raw(tdvpr));
  return at == vcpus.end() ? nullptr : &at->second;
}

Devif* State::find_devif(FunctionId function) {
  DevifSlot* const slot = devifmt.slots.find(static_cast<std::uint32_t>(function));
  return slot == nullptr || !slot->devif ? nullptr : &*slot->devif;
}

IdeStream& State::stream_of(const Devif& devif) {
  IommuState& iommu = iommus.unrecorded(devif.iommu);
  const auto at = iommu.streams.find(devif.stream);
  TEEIO_CHECK(at != iommu.streams.end(), "a DEVIF keeps its IDE stream");
  return at->second;
}

Module::Module(hw::PhysicalMemory& memory, object::Trace& trace, Platform platform)
    : state_(std::make_unique<State>(memory, trace, std::move(platform))), g3_(*state_) {}
Module::~Module() = default;

void Module::set_injection(Injection injection) { state_->injection = injection; }

std::uint64_t Module::pages_owned() const {
  const schedule::Section section(state_->mutex);
  return state_->pamt.owned();
}

DeviceInfoHash Module::info_hash(FunctionId function) const {
  const schedule::Section section(state_->mutex, schedule::Section::kByParts);
  const Devif* devif = state_->find_devif(function);
  return devif == nullptr ? DeviceInfoHash{} : devif->info_hash;
}

bool Module::is_fatal(Hpa tdr) const {
  const schedule::Section section(state_->mutex, schedule::Section::kByParts);
  const Td* td = state_->look_at_td(tdr);
  return td != nullptr && td->fatal;
}

std::expected<hw::GuestMapping, GuestView::Miss> Module::lookup(Hpa tdr, Gpa gpa,
                                                                hw::GuestAccess /*access*/) {
  const schedule::Section section(state_->mutex, schedule::Section::kByParts);
  const Td* td = state_->look_at_td(tdr);
  if (td == nullptr || td->fatal || td->life_cycle != LifeCycle::kKeysConfigured ||
      td->op_state == OpState::kUninitialized)
    return std::unexpected(Miss::kGone);
  if (raw(gpa) >= kSharedGpaBit) return std::unexpected(Miss::kShared);
  const Sept::Place place = Sept(state_->memory, *td).walk(gpa, Level::k4K);
  const std::uint64_t within = raw(page_of(gpa)) % level_bytes(place.level);
  switch (place.entry.state()) {
    case SeptState::kMapped:
      return hw::GuestMapping{.address = place.entry.address() + within,
                              .writable = true,
                              .mmio = false,
                              .key = td->key()};
    case SeptState::kMmioMapped:
      return hw::GuestMapping{.address = place.entry.address() + within,
                              .writable = true,
                              .mmio = true,
                              .key = td->key()};
    case SeptState::kPending:
    case SeptState::kMmioPending:
      return std::unexpected(Miss::kPending);
    case SeptState::kBlocked:
    case SeptState::kPendingBlocked:
    case SeptState::kMmioBlocked:
    case SeptState::kTableBlocked:
      return std::unexpected(Miss::kBlocked);
    case SeptState::kFree:
    case SeptState::kTable:
      break;
  }
  return std::unexpected(Miss::kNotPresent);
}

}  // namespace teeio::tdx
