#include "host/kvm/x86/interrupts.h"

#include <algorithm>

#include "base/check.h"

namespace teeio::kvm::x86 {
namespace {

/// kvm_setup_default_ioapic_and_pic_routing().
std::vector<Route> default_routes() {
  std::vector<Route> routes;
  for (std::uint32_t gsi = 0; gsi < kIoapicPins; ++gsi) {
    routes.push_back({gsi, false, Chip::kIoapic, gsi, {}});
    if (gsi < kPicPins)
      routes.push_back({gsi,
                        false,
                        gsi < kPicPins / 2 ? Chip::kPicMaster : Chip::kPicSlave,
                        gsi % (kPicPins / 2),
                        {}});
  }
  return routes;
}

std::unexpected<Error> no_chip() {
  return fail(Errno::kNxio, "the VM has no interrupt controllers in the kernel");
}

}  // namespace

Interrupts::~Interrupts() {
  const schedule::RawLockGuard guard(lock_);
  TEEIO_CHECK(lapics_.empty(), "a local APIC outlives the interrupts that it is attached to");
}

Result<void> Interrupts::create_kernel() {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ != IrqchipMode::kNone) return fail(Errno::kExist, "the VM has an irqchip already");
  routes_ = default_routes();
  mode_ = IrqchipMode::kKernel;
  return {};
}

Result<void> Interrupts::create_split(std::uint64_t pins) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (pins > kMaxIrqRoutes) return fail(Errno::kInval, "too many I/O APIC pins");
  if (mode_ != IrqchipMode::kNone) return fail(Errno::kExist, "the VM has an irqchip already");
  mode_ = IrqchipMode::kSplit;
  return {};
}

IrqchipMode Interrupts::mode() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return mode_;
}

void Interrupts::set_wide_ids() {
  const schedule::RawLockGuard guard(lock_);
  writes();
  wide_ids_ = true;
}

void Interrupts::disable_broadcast_quirk() {
  const schedule::RawLockGuard guard(lock_);
  writes();
  broadcast_quirk_ = false;
}

Result<void> Interrupts::create_pit() {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (pit_) return fail(Errno::kExist, "the VM has a PIT already");
  if (mode_ != IrqchipMode::kKernel) return fail(Errno::kNoEnt, "a PIT needs the in-kernel PIC");
  pit_.emplace();
  return {};
}

Result<PitState> Interrupts::pit() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  if (!pit_) return fail(Errno::kNxio, "the VM has no PIT");
  return pit_->state();
}

Result<void> Interrupts::set_pit(const PitState& state) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (!pit_) return fail(Errno::kNxio, "the VM has no PIT");
  pit_->set_state(state);
  return {};
}

Result<void> Interrupts::control_pit_reinjection() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  if (!pit_) return fail(Errno::kNxio, "the VM has no PIT");
  return {};
}

Result<PicState> Interrupts::pic(unsigned chip) {
  const schedule::RawLockGuard guard(lock_);
  reads();
  if (mode_ != IrqchipMode::kKernel) return no_chip();
  return pic_.state(chip);
}

Result<void> Interrupts::set_pic(unsigned chip, const PicState& state) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ != IrqchipMode::kKernel) return no_chip();
  pic_.set_state(chip, state);
  return {};
}

Result<IoapicState> Interrupts::ioapic() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  if (mode_ != IrqchipMode::kKernel) return no_chip();
  return ioapic_.state();
}

Result<void> Interrupts::set_ioapic(const IoapicState& state) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ != IrqchipMode::kKernel) return no_chip();
  ioapic_.set_state(state, *this);
  return {};
}

/// setup_routing_entry() and kvm_set_routing_entry().
Result<void> Interrupts::check_routes(std::span<const Route> routes) const {
  for (auto at = routes.begin(); at != routes.end(); ++at) {
    if (at->gsi >= kMaxIrqRoutes) return fail(Errno::kInval, "no such interrupt line");
    const auto clashes = [at](const Route& other) {
      return other.gsi == at->gsi && (other.msi || at->msi || other.chip == at->chip);
    };
    if (std::any_of(routes.begin(), at, clashes))
      return fail(Errno::kInval, "a line has two routes to one place");
    if (at->msi) {
      if (wide_ids_ && (at->message.address_hi & 0xffU) != 0)
        return fail(Errno::kInval, "the MSI's upper address is no destination");
      continue;
    }
    if (mode_ == IrqchipMode::kSplit)
      return fail(Errno::kInval, "a split irqchip has its pins in the VMM");
    if (at->pin >= (at->chip == Chip::kIoapic ? kIoapicPins : kPicPins / 2))
      return fail(Errno::kInval, "the irqchip has no such pin");
  }
  return {};
}

Result<void> Interrupts::set_routes(std::vector<Route> routes) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ == IrqchipMode::kNone) return fail(Errno::kInval, "routes need an irqchip");
  TEEIO_TRY(check_routes(routes));
  routes_ = std::move(routes);
  return {};
}

int Interrupts::raise(const Route& route, bool level) {
  if (route.msi) return level ? deliver_msi(route.message) : -1;
  const bool ioapic = route.chip == Chip::kIoapic;
  const unsigned pin = route.chip == Chip::kPicSlave ? route.pin + kPicPins / 2 : route.pin;
  // __kvm_irq_line_state(): up as long as anybody holds it.
  std::uint8_t& held = held_.at(ioapic ? kPicPins + pin : pin);
  const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(source_));
  held = static_cast<std::uint8_t>(level ? held | bit : held & ~bit);
  return ioapic ? ioapic_.set_irq(pin, held != 0, *this) : pic_.set_irq(pin, held != 0);
}

Result<std::int32_t> Interrupts::set_line(std::uint32_t gsi, bool level, IrqSource source) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ == IrqchipMode::kNone) return no_chip();
  source_ = source;
  std::int32_t result = -1;
  for (const Route& route : routes_) {
    if (route.gsi != gsi) continue;
    const int taken = raise(route, level);
    if (taken >= 0) result = taken + std::max(result, 0);
  }
  return result;
}

/// kvm_msi_to_lapic_irq().
int Interrupts::deliver_msi(const Msi& message) {
  std::uint32_t destination = (message.address_lo >> 12U) & 0xffU;
  if (wide_ids_) destination |= message.address_hi & 0xffff'ff00U;
  return deliver({
      .dest_id = destination,
      .logical = (message.address_lo & 4U) != 0,
      .level_triggered = (message.data & (1U << 15U)) != 0,
      .delivery = static_cast<LapicIrq::Delivery>((message.data >> 8U) & 7U),
      .vector = static_cast<std::uint8_t>(message.data),
  });
}

Result<std::int32_t> Interrupts::send_msi(const Msi& message) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ == IrqchipMode::kNone) return fail(Errno::kInval, "an MSI needs an irqchip");
  if (wide_ids_ && (message.address_hi & 0xffU) != 0)
    return fail(Errno::kInval, "the MSI's upper address is no destination");
  return deliver_msi(message);
}

int Interrupts::deliver(const LapicIrq& irq) {
  int result = -1;
  for (Lapic* lapic : lapics_) {
    if (!lapic->matches(irq, broadcast_quirk_)) continue;
    result = std::max(result, 0) + (lapic->accept(irq) ? 1 : 0);
    // The one with the lowest priority; all have the same here.
    if (irq.delivery == LapicIrq::Delivery::kLowest && result > 0) break;
  }
  return result;
}

void Interrupts::attach(Lapic& lapic) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  lapics_.push_back(&lapic);
}

void Interrupts::detach(Lapic& lapic) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  std::erase(lapics_, &lapic);
}

}  // namespace teeio::kvm::x86
