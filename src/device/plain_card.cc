#include "device/plain_card.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kClassEthernet = 0x020000;

std::array<hw::Bar, hw::kBarCount> one_bar(Hpa window) {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(0) = {.kind = hw::Bar::Kind::kMemory64, .size = PlainCard::kBarBytes, .base = window};
  return bars;
}

}  // namespace

PlainCard::Function::Function(object::Trace& trace, schedule::Monitor& lock, Bdf bdf, Hpa window)
    : Endpoint(trace, lock,
               {.bdf = bdf,
                .identity = {.vendor = kVendorId,
                             .device = kDeviceId,
                             .class_code = kClassEthernet,
                             .revision = 1,
                             .subsystem_vendor = kVendorId,
                             .subsystem = kDeviceId},
                .bars = one_bar(window)}) {
  answer_bar(0, target_, &memory_);
}

void PlainCard::Function::apply_write(std::uint16_t offset, unsigned size_bytes,
                                      std::uint32_t value) {
  Endpoint::apply_write(offset, size_bytes, value);
  enabled_.store(memory_enabled());
}

void PlainCard::Function::on_reset(hw::ResetKind kind) {
  memory_.zero();
  enabled_.store(memory_enabled());
  trace_.fact(object::Lane::kDevice, object::Fact::kDeviceReset, "RESET",
              {.detail = kind == hw::ResetKind::kHot ? "kind=hot" : "kind=function-level",
               .function = bdf_});
}

}  // namespace teeio::device
