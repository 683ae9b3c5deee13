#include "hw/msi.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/check.h"

namespace teeio::hw {
namespace {

// Offsets of the form with a 64-bit address and masks; bits of Message Control.
constexpr std::uint8_t kMsiBytes = 0x18;
constexpr unsigned kMsiControl = 0x02, kMsiAddress = 0x04, kMsiAddressHigh = 0x08, kMsiData = 0x0c,
                   kMsiMask = 0x10, kMsiPending = 0x14;
constexpr std::uint32_t kMsiEnable = 1U << 0U;
constexpr std::uint32_t kMsiGranted = 7U << 4U;  // as a power of two
constexpr std::uint32_t kMsi64Bit = 1U << 7U;
constexpr std::uint32_t kMsiMaskable = 1U << 8U;

}  // namespace

Msi::Msi(ConfigSpace& config, unsigned vectors)
    : config_(config),
      vectors_(vectors),
      offset_(config.add_capability(kCapabilityMsi, kMsiBytes)) {
  TEEIO_CHECK(std::has_single_bit(vectors) && vectors <= kMaxVectors,
              "MSI has no such number of vectors");
  const auto possible = static_cast<std::uint32_t>(std::countr_zero(vectors));
  config_.set(at(kMsiControl), 2, possible << 1U | kMsi64Bit | kMsiMaskable);
  config_.set_writable(at(kMsiControl), 2, kMsiEnable | kMsiGranted);
  config_.set_writable(at(kMsiAddress), 4, ~3U);
  config_.set_writable(at(kMsiAddressHigh), 4, ~0U);
  config_.set_writable(at(kMsiData), 2, 0xffff);
  config_.set_writable(at(kMsiMask), 4, static_cast<std::uint32_t>((1ULL << vectors) - 1));
}

void Msi::attach(DmaPort& port, std::uint16_t rid) {
  port_ = &port;
  rid_ = rid;
}

bool Msi::enabled() const { return (config_.read(at(kMsiControl), 2) & kMsiEnable) != 0; }

/// More than there are, and values that are reserved, count as all.
unsigned Msi::granted() const {
  return std::min(vectors_, 1U << ((config_.read(at(kMsiControl), 2) & kMsiGranted) >> 4U));
}

void Msi::registers_written() {
  if (!enabled() || !allowed_) return;
  const std::uint32_t pending = config_.read(at(kMsiPending), 4);
  const std::uint32_t ready = pending & ~config_.read(at(kMsiMask), 4);
  if (ready == 0) return;
  config_.set(at(kMsiPending), 4, pending & ~ready);
  for (unsigned vector = 0; vector < vectors_; ++vector)
    if ((ready >> vector & 1U) != 0) send(vector);
}

void Msi::fire(unsigned event) {
  if (!enabled()) return;
  const unsigned vector = std::min(event, granted() - 1);
  if ((config_.read(at(kMsiMask), 4) >> vector & 1U) != 0)
    config_.set(at(kMsiPending), 4, config_.read(at(kMsiPending), 4) | 1U << vector);
  else
    send(vector);
}

void Msi::send(unsigned vector) {
  if (port_ == nullptr) return;
  const std::uint64_t address =
      std::uint64_t{config_.read(at(kMsiAddressHigh), 4)} << 32U | config_.read(at(kMsiAddress), 4);
  const std::uint32_t data = (config_.read(at(kMsiData), 2) & ~(granted() - 1)) | vector;
  // A message to nowhere is lost, as on the bus.
  (void)port_->dma_write(rid_, TBit::kShared, Iova{address}, bytes_of(data));
}

void Msi::reset() {
  config_.set(at(kMsiControl), 2, config_.read(at(kMsiControl), 2) & ~(kMsiEnable | kMsiGranted));
  for (const unsigned reg : {kMsiAddress, kMsiAddressHigh, kMsiMask, kMsiPending})
    config_.set(at(reg), 4, 0);
  config_.set(at(kMsiData), 2, 0);
}

}  // namespace teeio::hw
