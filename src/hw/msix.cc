#include "hw/msix.h"

#include <algorithm>

#include "base/check.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kMsixControl = 2;
constexpr std::uint32_t kMsixEnable = 0x8000;
constexpr std::uint32_t kFunctionMask = 0x4000;

/// Calls f(index into the access, offset into the structure) for the bytes of
/// an access at `offset` that lie in [start, start + size); false if none do.
template <class F>
bool for_overlap(std::uint64_t offset, std::size_t length, std::uint64_t start, std::uint64_t size,
                 F f) {
  const std::uint64_t first = std::max(offset, start);
  const std::uint64_t end = std::min(offset + length, start + size);
  for (std::uint64_t at = first; at < end; ++at) f(at - offset, at - start);
  return first < end;
}

std::uint64_t pba_bytes(std::size_t vectors) { return (vectors + 63) / 64 * 8; }

}  // namespace

Msix::Msix(ConfigSpace& config, const Layout& layout)
    : config_(config),
      layout_(layout),
      offset_(config.add_capability(kCapabilityMsix, 12)),
      table_(layout.vectors),
      pending_(layout.vectors) {
  TEEIO_CHECK(layout.vectors >= 1 && layout.vectors <= kMaxVectors,
              "MSI-X has too few or too many vectors");
  TEEIO_CHECK(layout.table_offset % 8 == 0 && layout.pba_offset % 8 == 0,
              "an MSI-X structure is misaligned");
  const auto at = [this](unsigned n) { return static_cast<std::uint16_t>(offset_ + n); };
  config_.set(at(kMsixControl), 2, layout.vectors - 1U);
  config_.set_writable(at(kMsixControl), 2, kMsixEnable | kFunctionMask);
  config_.set(at(4), 4, layout.table_offset | layout.table_bar);
  config_.set(at(8), 4, layout.pba_offset | layout.pba_bar);
}

void Msix::attach(DmaPort& port, std::uint16_t rid) {
  port_ = &port;
  rid_ = rid;
}

bool Msix::enabled() const {
  return (config_.read(static_cast<std::uint16_t>(offset_ + kMsixControl), 2) & kMsixEnable) != 0;
}

bool Msix::masked(std::uint16_t vector) const {
  const std::uint32_t control = config_.read(static_cast<std::uint16_t>(offset_ + kMsixControl), 2);
  return (control & kFunctionMask) != 0 || (table_[vector].control & kMasked) != 0;
}

std::byte Msix::table_byte(std::uint64_t at) const {
  const Entry& entry = table_[at / kEntryBytes];
  const auto in_entry = static_cast<unsigned>(at % kEntryBytes);
  if (in_entry < 8) return static_cast<std::byte>(entry.address >> (8 * in_entry));
  const std::uint32_t word = in_entry < 12 ? entry.data : entry.control;
  return static_cast<std::byte>(word >> (8 * (in_entry % 4)));
}

void Msix::set_table_byte(std::uint64_t at, std::byte value) {
  Entry& entry = table_[at / kEntryBytes];
  const auto in_entry = static_cast<unsigned>(at % kEntryBytes);
  const auto put = [value](auto word, unsigned n) {
    using Word = decltype(word);
    const Word cleared = word & ~(Word{0xff} << (8 * n));
    return cleared | std::to_integer<Word>(value) << (8 * n);
  };
  if (in_entry < 8)
    entry.address = put(entry.address, in_entry) & ~std::uint64_t{3};
  else if (in_entry < 12)
    entry.data = put(entry.data, in_entry - 8);
  else
    entry.control = put(entry.control, in_entry - 12) & kMasked;  // the rest is reserved
}

std::byte Msix::pba_byte(std::uint64_t at) const {
  unsigned bits = 0;
  for (unsigned n = 0; n < 8; ++n)
    if (at * 8 + n < pending_.size() && pending_[at * 8 + n]) bits |= 1U << n;
  return static_cast<std::byte>(bits);
}

bool Msix::bar_read(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> out) const {
  bool touched = false;
  if (bar == layout_.table_bar)
    touched |= for_overlap(offset, out.size(), layout_.table_offset, table_.size() * kEntryBytes,
                           [&](std::size_t i, std::uint64_t at) { out[i] = table_byte(at); });
  if (bar == layout_.pba_bar)
    touched |= for_overlap(offset, out.size(), layout_.pba_offset, pba_bytes(pending_.size()),
                           [&](std::size_t i, std::uint64_t at) { out[i] = pba_byte(at); });
  return touched;
}

bool Msix::bar_write(std::uint8_t bar, std::uint64_t offset, ByteView in) {
  bool touched = false;
  if (bar == layout_.table_bar &&
      for_overlap(offset, in.size(), layout_.table_offset, table_.size() * kEntryBytes,
                  [&](std::size_t i, std::uint64_t at) { set_table_byte(at, in[i]); })) {
    touched = true;
    send_unmasked();
  }
  if (bar == layout_.pba_bar)  // read-only
    touched |= for_overlap(offset, in.size(), layout_.pba_offset, pba_bytes(pending_.size()),
                           [](std::size_t, std::uint64_t) {});
  return touched;
}

void Msix::registers_written() { send_unmasked(); }

void Msix::fire(std::uint16_t vector) {
  TEEIO_CHECK(vector < table_.size(), "a device fires a vector that it does not have");
  if (!enabled()) return;
  if (masked(vector))
    pending_[vector] = true;
  else
    send(vector);
}

void Msix::send_unmasked() {
  if (!enabled() || !allowed_) return;
  const auto vectors = static_cast<std::uint16_t>(table_.size());  // at most 2048 (MSI-X)
  for (std::uint16_t vector = 0; vector < vectors; ++vector) {
    if (!pending_[vector] || masked(vector)) continue;
    pending_[vector] = false;
    send(vector);
  }
}

void Msix::send(std::uint16_t vector) {
  if (port_ == nullptr) return;
  const Entry& entry = table_[vector];
  // A message to nowhere is lost, as on the bus.
  (void)port_->dma_write(rid_, t_, Iova{entry.address}, bytes_of(entry.data));
}

void Msix::reset() {
  std::ranges::fill(table_, Entry{});
  pending_.assign(pending_.size(), false);
  const auto control = static_cast<std::uint16_t>(offset_ + kMsixControl);
  config_.set(control, 2, config_.read(control, 2) & ~(kMsixEnable | kFunctionMask));
  t_ = TBit::kShared;
}

}  // namespace teeio::hw
