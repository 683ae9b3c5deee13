#include "device/dma_function.h"

#include <algorithm>
#include <utility>

#include "device/locked_config.h"

namespace teeio::device {
namespace {

constexpr std::uint16_t kMsixControl = 2;
constexpr std::uint32_t kRegisterPages = DmaEngine::kRegisterBytes / kPageSize;

hw::Bar memory_bar(Hpa base, std::uint64_t size, bool prefetchable) {
  return {
      .kind = hw::Bar::Kind::kMemory64, .prefetchable = prefetchable, .size = size, .base = base};
}

void all_ones(std::span<std::byte> out) { std::ranges::fill(out, std::byte{0xff}); }

}  // namespace

std::array<hw::Bar, hw::kBarCount> DmaFunction::make_bars(const Addresses& addresses) {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(kRegisterBar) = memory_bar(addresses.registers, DmaEngine::kRegisterBytes, false);
  bars.at(kMemoryBar) = memory_bar(addresses.memory, addresses.memory_bytes, true);
  bars.at(kMsixBar) = memory_bar(addresses.msix, kMsixBytes, false);
  return bars;
}

DmaFunction::DmaFunction(object::Trace& trace, schedule::RwMutex& card_lock, const Role& role)
    : Endpoint(trace, card_lock,
               {.bdf = role.bdf,
                .identity = role.identity,
                .bars = make_bars(role.addresses),
                .bars_in_header = role.pf == nullptr,
                .bars_move = role.bars_move,
                .tee_io = true}),
      pf_(role.pf),
      tdi_(trace, role.bdf, *this),
      memory_(role.addresses.memory_bytes),
      engine_(*this, memory_),
      msix_(config_, {.vectors = kVectors,
                      .table_bar = kMsixBar,
                      .table_offset = 0,
                      .pba_bar = kMsixBar,
                      .pba_offset = kPbaOffset}),
      enabled_(true),
      shared_{{*this, kRegisterBar, hw::TBit::kShared},
              {memory_, enabled_, &tdi_, hw::TBit::kShared},
              {*this, kMsixBar, hw::TBit::kShared}},
      trusted_{{*this, kRegisterBar, hw::TBit::kTrusted},
               {memory_, enabled_, &tdi_, hw::TBit::kTrusted},
               {*this, kMsixBar, hw::TBit::kTrusted}} {
  answer_bar(kRegisterBar, shared_.registers);
  answer_bar(kMemoryBar, shared_.memory, &memory_);
  answer_bar(kMsixBar, shared_.msix);
}

hw::MmioTarget* DmaFunction::private_bar(std::size_t number) {
  switch (number) {
    case kRegisterBar:
      return &trusted_.registers;
    case kMemoryBar:
      return &trusted_.memory;
    case kMsixBar:
      return &trusted_.msix;
    default:
      return nullptr;
  }
}

bool DmaFunction::memory_enabled() const {
  // A VF has no Memory Space Enable of its own (PCIe Base Spec 9.3.4.1.3).
  if (pf_ != nullptr) return in_d0() && pf_->vf_answers(vf_index());
  return Endpoint::memory_enabled();
}

void DmaFunction::refresh_enabled() {
  const bool now = memory_enabled();
  if (std::exchange(was_enabled_, now) != now) enabled_.store(now);
}

void DmaFunction::apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  const LockedRegisters::Place place{power_, express_, msix_.offset()};
  const LockedRegisters before = LockedRegisters::read(config_, place);
  Endpoint::apply_write(offset, size_bytes, value);
  refresh_enabled();
  msix_.registers_written();
  if (!tdi_.view().locked()) return;
  const LockedRegisters after = LockedRegisters::read(config_, place);
  if (const auto cause = lock_violation(before, after, tdi_.view().msix_lock)) tdi_.violate(*cause);
}

void DmaFunction::on_reset(hw::ResetKind kind) {
  tdi_.reset(kind);
  msix_.reset();
  refresh_enabled();
}

void DmaFunction::on_attach() { msix_.attach(*port_, bdf_.rid()); }

std::optional<std::string_view> DmaFunction::configuration_fault() const {
  if (!bars_in_place()) return "a BAR is not where the bus decodes it";
  if (pf_ != nullptr && !pf_->vf_in_place(vf_index()))
    return "the PF's SR-IOV registers were changed";
  return std::nullopt;
}

std::vector<wire::TdispMmioRange> DmaFunction::mmio_ranges(bool msix_locked) const {
  const auto non_tee = static_cast<std::uint16_t>(msix_locked ? 0 : wire::kMmioNonTeeMemory);
  const auto attributes = [non_tee](wire::TdispMmioAttribute attribute) {
    return static_cast<std::uint16_t>(attribute | non_tee);
  };
  const auto page = [this](std::size_t bar, std::uint64_t offset = 0) {
    return (bar_address(bar) + offset) >> wire::TdispMmioRange::kPageShift;
  };
  const hw::Bar& memory = bars_.at(kMemoryBar);
  const auto memory_pages = static_cast<std::uint32_t>(memory.size / kPageSize);
  return {{page(kRegisterBar), kRegisterPages, 0, kRegisterBar},
          {page(kMemoryBar), memory_pages, wire::kMmioAttributeUpdatable, kMemoryBar},
          {page(kMsixBar), 1, attributes(wire::kMmioMsixTable), kMsixBar},
          {page(kMsixBar, kPbaOffset), 1, attributes(wire::kMmioMsixPba), kMsixBar}};
}

std::uint16_t DmaFunction::msix_message_control() const {
  return static_cast<std::uint16_t>(
      config_.read(static_cast<std::uint16_t>(msix_.offset() + kMsixControl), 2));
}

void DmaFunction::scrub() {
  engine_.reset();
  memory_.zero();
}

bool DmaFunction::may_issue(hw::TBit t) const {
  return port_ != nullptr && bus_master_enabled() && issues_dma(tdi_.view().state, t);
}

Result<void> DmaFunction::dma_read(hw::TBit t, Iova address, std::span<std::byte> out) {
  return port_->dma_read(bdf_.rid(), t, address, out);
}

Result<void> DmaFunction::dma_write(hw::TBit t, Iova address, ByteView in) {
  return port_->dma_write(bdf_.rid(), t, address, in);
}

void DmaFunction::fire(std::uint16_t vector) {
  if (!bus_master_enabled()) return;  // a message is a memory write
  const bool trusted = tdi_.view().state == TdiState::kRun && tdi_.view().msix_lock;
  msix_.set_traffic(trusted ? hw::TBit::kTrusted : hw::TBit::kShared);
  msix_.fire(vector);
}

bool DmaFunction::answers(std::uint8_t bar, hw::TBit t) const {
  const MmioPart part = bar == kMsixBar ? MmioPart::kMsix : MmioPart::kTee;
  return memory_enabled() && tdi_.view().answers(t, part);
}

void DmaFunction::bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                           std::span<std::byte> out) {
  const schedule::WriteLock lock(card_lock_);
  if (!answers(bar, t)) return all_ones(out);
  if (bar == kRegisterBar) return engine_.read(offset, out);
  std::ranges::fill(out, std::byte{0});  // reserved space of the MSI-X BAR
  msix_.bar_read(bar, offset, out);
}

void DmaFunction::bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) {
  const schedule::WriteLock lock(card_lock_);
  if (!answers(bar, t)) return;
  if (bar == kRegisterBar)
    engine_.write(offset, in);
  else
    msix_.bar_write(bar, offset, in);
}

}  // namespace teeio::device
