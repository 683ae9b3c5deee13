#include "device/plain_card.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kClassEthernet = 0x020000;

std::array<hw::Bar, hw::kBarCount> bars_of(const PlainCard::Options& options) {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(0) = {
      .kind = hw::Bar::Kind::kMemory64, .size = PlainCard::kBarBytes, .base = options.window};
  if (options.io)
    bars.at(PlainCard::kIoBar) = {
        .kind = hw::Bar::Kind::kIo, .size = IoPorts::kPorts, .base = *options.io};
  return bars;
}

}  // namespace

PlainCard::Function::Function(object::Trace& trace, schedule::Monitor& lock,
                              const PlainCard::Options& options)
    : Endpoint(trace, lock,
               {.bdf = options.bdf,
                .identity = {.vendor = kVendorId,
                             .device = kDeviceId,
                             .class_code = kClassEthernet,
                             .revision = 1,
                             .subsystem_vendor = kVendorId,
                             .subsystem = kDeviceId},
                .bars = bars_of(options),
                .rom = options.rom,
                .rom_bytes = options.rom_bytes,
                .rom_text = "teeio plain card"}) {
  answer_bar(0, target_, &memory_);
  if (options.io) answer_bar(kIoBar, ports_);
}

void PlainCard::Function::apply_write(std::uint16_t offset, unsigned size_bytes,
                                      std::uint32_t value) {
  Endpoint::apply_write(offset, size_bytes, value);
  enabled_.store(memory_enabled());
  io_enabled_.store(io_enabled());
}

void PlainCard::Function::on_reset(hw::ResetKind kind) {
  memory_.zero();
  ports_.reset();
  enabled_.store(memory_enabled());
  io_enabled_.store(io_enabled());
  trace_.fact(object::Lane::kDevice, object::Fact::kDeviceReset, "RESET",
              {.detail = kind == hw::ResetKind::kHot ? "kind=hot" : "kind=function-level",
               .function = bdf_});
}

}  // namespace teeio::device
