#include "serve/secure_processor/card.h"

#include <algorithm>
#include <array>
#include <utility>

namespace teeio::secure_processor {
namespace {

constexpr std::uint32_t kClassEncryption = 0x108000;  // other encryption controller
// Where a host would have put the BARs at boot: below the built-in machines' windows.
constexpr Hpa kRegisterBase{0x37f0'0000'0000};
constexpr Hpa kMemoryBase{0x37f0'1000'0000};

std::array<hw::Bar, hw::kBarCount> two_bars() {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(0) = {.kind = hw::Bar::Kind::kMemory64, .size = kRegisterBytes, .base = kRegisterBase};
  bars.at(2) = {
      .kind = hw::Bar::Kind::kMemory64, .size = Processor::kMemoryBytes, .base = kMemoryBase};
  return bars;
}

}  // namespace

Card::Card(object::Trace& trace, Bdf bdf, std::vector<std::unique_ptr<hw::RootPort>> ports,
           spdm::ChannelSetup channels)
    : processor_(trace, std::move(ports), std::move(channels)),
      mailbox_(trace, processor_),
      function_(trace, lock_, bdf, *this) {}

Card::Function::Function(object::Trace& trace, schedule::Monitor& lock, Bdf bdf, Card& card)
    : Endpoint(trace, lock,
               {.bdf = bdf,
                .identity = {.vendor = kVendorId,
                             .device = kDeviceId,
                             .class_code = kClassEncryption,
                             .revision = 1,
                             .subsystem_vendor = kVendorId,
                             .subsystem = kDeviceId},
                .bars = two_bars(),
                .bars_move = true}),
      card_(card) {
  answer_bar(0, registers_);
  answer_bar(2, memory_);
}

/// A function level reset leaves the firmware alone: it is the platform's, not the function's.
void Card::Function::on_reset(hw::ResetKind kind) {
  if (kind != hw::ResetKind::kHot) return;
  card_.reset_.store(true);
  trace_.fact(object::Lane::kFirmware, object::Fact::kDeviceReset, "secure processor RESET",
              {.detail = "kind=hot"});
}

bool Card::Function::answers() {
  const schedule::Section section(card_lock_);
  return memory_enabled();
}

void Card::Function::bar_read(std::uint8_t bar, hw::TBit, std::uint64_t offset,
                              std::span<std::byte> out) {
  if (!answers()) return std::ranges::fill(out, std::byte{0xff}), void();
  const schedule::Lock lock(card_.mailbox_lock_);
  card_.power_on();
  if (bar == 0)
    card_.mailbox_.register_read(offset, out);
  else
    card_.processor_.read(offset, out);
}

void Card::Function::bar_write(std::uint8_t bar, hw::TBit, std::uint64_t offset, ByteView in) {
  if (!answers()) return;
  const schedule::Lock lock(card_.mailbox_lock_);
  card_.power_on();
  if (bar == 0)
    card_.mailbox_.register_write(offset, in);
  else
    card_.processor_.write(offset, in);
}

void Card::power_on() {
  if (!reset_.exchange(false)) return;
  mailbox_.reset();
  processor_.reset();
}

}  // namespace teeio::secure_processor
