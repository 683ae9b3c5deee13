#include "device/tee_function.h"

#include <algorithm>
#include <utility>

#include "device/locked_config.h"
#include "hw/pasid_capability.h"

namespace teeio::device {
namespace {

constexpr std::uint16_t kMsixControl = 2;

void all_ones(std::span<std::byte> out) { std::ranges::fill(out, std::byte{0xff}); }

}  // namespace

hw::Bar TeeFunction::make_bar(Hpa base, std::uint64_t size, bool prefetchable) {
  return {
      .kind = hw::Bar::Kind::kMemory64, .prefetchable = prefetchable, .size = size, .base = base};
}

TeeFunction::TeeFunction(object::Trace& trace, schedule::Monitor& card_lock, const Role& role)
    : Endpoint(trace, card_lock,
               {.bdf = role.bdf,
                .identity = role.identity,
                .bars = role.bars,
                .bars_in_header = role.pf == nullptr,
                .bars_move = role.bars_move,
                .tee_io = true,
                .rom = role.rom,
                .rom_bytes = role.rom_bytes,
                .rom_text = role.rom_text}),
      pf_(role.pf),
      pasid_bits_(role.pf != nullptr ? role.pf->pasid_bits_ : role.pasid_bits),
      report_(role.report),
      layout_(role.bars, kRegisterBar, {kMsixBar, 0, kPbaOffset}, report_.ranges),
      tdi_(trace, role.bdf, *this),
      msix_(config_, {.vectors = role.vectors,
                      .table_bar = kMsixBar,
                      .table_offset = 0,
                      .pba_bar = kMsixBar,
                      .pba_offset = kPbaOffset}),
      enabled_(true),
      shared_{{*this, kRegisterBar, hw::TBit::kShared}, {*this, kMsixBar, hw::TBit::kShared}},
      trusted_{{*this, kRegisterBar, hw::TBit::kTrusted}, {*this, kMsixBar, hw::TBit::kTrusted}} {
  if (role.msi_vectors != 0) msi_.emplace(config_, role.msi_vectors);
  if (role.intx) intx_.emplace(config_);
  answer_bar(kRegisterBar, shared_.registers);
  answer_bar(kMsixBar, shared_.msix);
  if (pf_ == nullptr && pasid_bits_ != 0) pasid_ = hw::add_pasid_capability(config_, pasid_bits_);
}

void TeeFunction::make_physical(const PhysicalPart::Options& options) {
  physical_ = std::make_unique<PhysicalPart>(trace_, *this, config_, options);
}

hw::MmioTarget* TeeFunction::private_bar(std::size_t number) {
  if (number == kRegisterBar) return &trusted_.registers;
  return number == kMsixBar ? &trusted_.msix : nullptr;
}

bool TeeFunction::memory_enabled() const {
  // A VF has no Memory Space Enable of its own (PCIe Base Spec 9.3.4.1.3).
  if (pf_ == nullptr) return Endpoint::memory_enabled();
  touch(CardPart::kSriov, schedule::Touch::How::kRead);
  return in_d0() && pf_->physical().vf_answers(vf_index());
}

void TeeFunction::refresh_enabled() {
  const bool now = memory_enabled();
  if (std::exchange(was_enabled_, now) != now) enabled_.store(now);
}

std::optional<std::uint32_t> TeeFunction::read_special(std::uint16_t offset, unsigned size_bytes) {
  return physical_ == nullptr ? std::nullopt : physical_->read_special(offset, size_bytes);
}

bool TeeFunction::write_special(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  return physical_ != nullptr && physical_->write_special(offset, size_bytes, value);
}

CardPart TeeFunction::part_of(std::uint16_t offset) const {
  const bool of_dsm = physical_ != nullptr && physical_->is_of_dsm(offset);
  return of_dsm ? CardPart::kDsm : CardPart::kFunction;
}

void TeeFunction::apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  if (part_of(offset) == CardPart::kDsm) {  // nothing of the function's depends on it
    Endpoint::apply_write(offset, size_bytes, value);
    return physical_->written(offset, size_bytes, value, physical_->programmed());
  }
  const LockedRegisters::Place place{power_, express_, msix_.offset()};
  const LockedRegisters before = LockedRegisters::read(config_, place);
  SriovCapability::Registers vfs_before{};
  if (physical_ != nullptr) vfs_before = physical_->programmed();
  Endpoint::apply_write(offset, size_bytes, value);
  refresh_enabled();
  choose_traffic();
  msix_.registers_written();
  if (msi_) msi_->registers_written();
  update_intx();
  if (tdi_.view().locked()) {
    const LockedRegisters after = LockedRegisters::read(config_, place);
    if (const auto cause = lock_violation(before, after, tdi_.view().msix_lock))
      tdi_.violate(*cause);
  }
  if (physical_ != nullptr) physical_->written(offset, size_bytes, value, vfs_before);
}

void TeeFunction::on_reset(hw::ResetKind kind) {
  tdi_.reset(kind);
  msix_.reset();
  if (msi_) msi_->reset();
  if (intx_) intx_->reset();
  refresh_enabled();
  if (physical_ != nullptr) physical_->reset(kind);
  if (pasid_ != 0) hw::disable_pasid(config_, pasid_);
}

void TeeFunction::on_attach() {
  msix_.attach(*port_, bdf_.rid());
  if (msi_) msi_->attach(*port_, bdf_.rid());
  if (intx_) intx_->attach(*port_, bdf_.rid());
}

std::optional<std::string_view> TeeFunction::configuration_fault() const {
  if (!bars_in_place()) return "a BAR is not where the bus decodes it";
  if (pf_ != nullptr) touch(CardPart::kSriov, schedule::Touch::How::kRead);
  if (pf_ != nullptr && !pf_->physical().vf_in_place(vf_index()))
    return "the PF's SR-IOV registers were changed";
  return std::nullopt;
}

std::vector<wire::TdispMmioRange> TeeFunction::mmio_ranges(bool msix_locked) const {
  constexpr unsigned kMsix = wire::kMmioMsixTable | wire::kMmioMsixPba;
  std::vector<wire::TdispMmioRange> ranges;
  for (const MmioLayout::Part& part : layout_.parts()) {
    unsigned attributes = part.attributes;
    if ((attributes & kMsix) != 0 && !msix_locked) attributes |= wire::kMmioNonTeeMemory;
    ranges.push_back(
        {.first_page = (bar_address(part.bar) + part.offset) >> wire::TdispMmioRange::kPageShift,
         .pages = static_cast<std::uint32_t>(part.bytes / kPageSize),
         .attributes = static_cast<std::uint16_t>(attributes),
         .range_id = part.id});
  }
  return ranges;
}

std::uint16_t TeeFunction::msix_message_control() const {
  return static_cast<std::uint16_t>(
      config_.read(static_cast<std::uint16_t>(msix_.offset() + kMsixControl), 2));
}

bool TeeFunction::may_issue_now(hw::TBit t) const {
  return port_ != nullptr && bus_master_enabled() && issues_dma(tdi_.view().state, t);
}

bool TeeFunction::may_name(hw::Pasid pasid) const {
  const TeeFunction& owner = pf_ != nullptr ? *pf_ : *this;
  owner.touch(CardPart::kFunction, schedule::Touch::How::kRead);
  return owner.pasid_ != 0 && std::to_underlying(pasid) >> pasid_bits_ == 0 &&
         hw::pasid_enabled(owner.config_, owner.pasid_);
}

Result<void> TeeFunction::issue_read(hw::TBit t, Iova address, std::span<std::byte> out,
                                     Space space) {
  return port_->dma_read({bdf_.rid(), space}, t, address, out);
}

Result<void> TeeFunction::issue_write(hw::TBit t, Iova address, ByteView in, Space space) {
  return port_->dma_write({bdf_.rid(), space}, t, address, in);
}

void TeeFunction::choose_traffic() {
  const bool trusted = tdi_.view().state == TdiState::kRun && tdi_.view().msix_lock;
  msix_.set_traffic(trusted ? hw::TBit::kTrusted : hw::TBit::kShared);
  msix_.allow(bus_master_enabled());
  if (msi_) msi_->allow(bus_master_enabled());
}

bool TeeFunction::sends_messages() const { return msix_.enabled() || (msi_ && msi_->enabled()); }

void TeeFunction::fire(std::uint16_t vector) {
  if (!sends_messages()) {
    if (intx_) intx_->raise(1U << vector);
    return update_intx();
  }
  if (!bus_master_enabled()) return;  // a message is a memory write
  choose_traffic();
  if (msix_.enabled())
    msix_.fire(vector);
  else
    msi_->fire(vector);
}

void TeeFunction::acknowledge(std::uint32_t causes) {
  if (!intx_) return;
  intx_->acknowledge(causes);
  update_intx();
}

void TeeFunction::update_intx() {
  if (intx_) intx_->update(!sends_messages() && in_d0());
}

bool TeeFunction::answers(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                          std::uint64_t size) const {
  return memory_enabled() && tdi_.view().answers(t, layout_.touched(bar, offset, size));
}

void TeeFunction::bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                           std::span<std::byte> out) {
  const schedule::Section section(card_lock_, schedule::Section::kByParts);
  touch(CardPart::kFunction, schedule::Touch::How::kWrite);
  complete();
  if (!answers(bar, t, offset, out.size())) return all_ones(out);
  if (bar == kRegisterBar) return register_read(offset, out);
  std::ranges::fill(out, std::byte{0});  // reserved space of the MSI-X BAR
  msix_.bar_read(bar, offset, out);
}

void TeeFunction::bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) {
  const schedule::Section section(card_lock_, schedule::Section::kByParts);
  touch(CardPart::kFunction, schedule::Touch::How::kWrite);
  if (!answers(bar, t, offset, in.size())) return;
  if (bar == kRegisterBar) return register_write(offset, in);
  choose_traffic();
  msix_.bar_write(bar, offset, in);
}

}  // namespace teeio::device
