#include "hw/intx.h"

#include "hw/capabilities.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kIntxRegister = 0x06;
constexpr std::uint32_t kIntxStatus = 1U << 3U;
constexpr std::uint32_t kIntxPinA = 1;
constexpr std::uint32_t kFirstIntxLine = 16, kIntxLines = 4;

}  // namespace

Intx::Intx(ConfigSpace& config) : config_(config) { config_.set(kInterruptPin, 1, kIntxPinA); }

void Intx::attach(DmaPort& port, std::uint16_t rid) {
  port_ = &port;
  rid_ = rid;
}

void Intx::update(bool speaks) {
  const bool pending = speaks && causes_ != 0;
  const std::uint32_t status = config_.read(kIntxRegister, 2);
  config_.set(kIntxRegister, 2, pending ? status | kIntxStatus : status & ~kIntxStatus);
  set_level(pending && (config_.read(kCommand, 2) & kCommandIntxDisable) == 0);
}

void Intx::set_level(bool asserted) {
  if (asserted_ == asserted || port_ == nullptr) return;
  asserted_ = asserted;
  if (!port_->intx(rid_, asserted)) return;
  config_.set(kCommand, 2, config_.read(kCommand, 2) | kCommandIntxDisable);
  set_level(false);
}

void Intx::reset() {
  causes_ = 0;
  update(false);
}

std::uint32_t intx_irq(PciFunction& function) {
  const std::uint32_t pin = function.config_read(kInterruptPin, 1);
  if (pin == 0) return 0;
  return kFirstIntxLine + (function.bdf().device + pin - 1) % kIntxLines;
}

}  // namespace teeio::hw
