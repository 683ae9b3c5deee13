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

/// kvm_apic_match_dest() of a shorthand.
bool reaches(LapicIrq::Shorthand shorthand, bool itself) {
  switch (shorthand) {
    case LapicIrq::Shorthand::kSelf:
      return itself;
    case LapicIrq::Shorthand::kAllButSelf:
      return !itself;
    case LapicIrq::Shorthand::kNone:
    case LapicIrq::Shorthand::kAll:
      return true;
  }
  return true;
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
  split_pins_ = pins;
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
  return set_line_of(gsi, level, source);
}

std::int32_t Interrupts::set_line_of(std::uint32_t gsi, bool level, IrqSource source) {
  source_ = source;
  std::int32_t result = -1;
  for (const Route& route : routes_) {
    if (route.gsi != gsi) continue;
    const int taken = raise(route, level);
    if (taken >= 0) result = taken + std::max(result, 0);
  }
  return result;
}

void Interrupts::set_resampled(std::uint32_t gsi, bool resampled) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (resampled) {
    resampled_.insert(gsi);
  } else if (resampled_.erase(gsi) != 0) {
    (void)set_line_of(gsi, false, IrqSource::kResample);
  }
}

/// kvm_notify_acked_irq() and irqfd_resampler_ack().
void Interrupts::acknowledged(unsigned pin) {
  for (const Route& route : routes_) {
    if (route.msi || route.chip != Chip::kIoapic || route.pin != pin) continue;
    if (!resampled_.contains(route.gsi)) return;
    acknowledged_.push_back(route.gsi);
    (void)set_line_of(route.gsi, false, IrqSource::kResample);
    return;
  }
}

Interrupts::MsrWrite Interrupts::set_msr(Lapic& lapic, std::uint32_t index, std::uint64_t value) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  const Lapic::Write write = lapic.write_msr(index, value);
  if (write.ipi) (void)deliver_from(&lapic, *write.ipi);
  // A split irqchip's I/O APIC is the VMM's.
  if (write.eoi && mode_ == IrqchipMode::kKernel)
    ioapic_.end_of_interrupt(*write.eoi, lapic.in_level_mode(*write.eoi), *this);
  MsrWrite result{.known = write.known, .acknowledged = {}, .split_eoi = {}};
  // kvm_lapic_suppress_eoi_broadcast()
  const bool suppressed = believes_suppressed_eois_ && lapic.suppresses_eois();
  if (mode_ == IrqchipMode::kSplit && !suppressed) result.split_eoi = write.eoi;
  result.acknowledged.swap(acknowledged_);
  return result;
}

void Interrupts::believe_suppressed_eois() {
  const schedule::RawLockGuard guard(lock_);
  writes();
  believes_suppressed_eois_ = true;
}

/// kvm_scan_ioapic_routes() and kvm_scan_ioapic_irq().
Interrupts::Vectors Interrupts::level_vectors(const Lapic& lapic) {
  const schedule::RawLockGuard guard(lock_);
  reads();
  Vectors vectors;
  if (mode_ != IrqchipMode::kSplit || !lapic.present()) return vectors;
  for (const Route& route : routes_) {
    if (!route.msi || route.gsi >= split_pins_) continue;
    const LapicIrq irq = irq_of(route.message);
    if (!irq.level_triggered) continue;
    if (lapic.matches(irq, broadcast_quirk_) || lapic.has_pending(irq.vector))
      vectors.set(irq.vector);
  }
  return vectors;
}

int Interrupts::deliver_msi(const Msi& message) { return deliver(irq_of(message)); }

/// kvm_msi_to_lapic_irq().
LapicIrq Interrupts::irq_of(const Msi& message) const {
  std::uint32_t destination = (message.address_lo >> 12U) & 0xffU;
  if (wide_ids_) destination |= message.address_hi & 0xffff'ff00U;
  return {
      .dest_id = destination,
      .logical = (message.address_lo & 4U) != 0,
      .level_triggered = (message.data & (1U << 15U)) != 0,
      .delivery = static_cast<LapicIrq::Delivery>((message.data >> 8U) & 7U),
      .vector = static_cast<std::uint8_t>(message.data),
      .redirect_hint = (message.address_lo & 8U) != 0,
  };
}

Result<std::int32_t> Interrupts::send_msi(const Msi& message) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (mode_ == IrqchipMode::kNone) return fail(Errno::kInval, "an MSI needs an irqchip");
  if (wide_ids_ && (message.address_hi & 0xffU) != 0)
    return fail(Errno::kInval, "the MSI's upper address is no destination");
  return deliver_msi(message);
}

int Interrupts::deliver(const LapicIrq& irq) { return deliver_from(nullptr, irq); }

/// Whether kvm_irq_delivery_to_apic_fast() has an answer: nobody at the destination is 0 then,
/// not -1. It has none for a broadcast, nor for logical destinations when local APICs read
/// them differently (kvm_apic_map_get_dest_lapic(), kvm_recalculate_logical_map()).
bool Interrupts::mapped(const LapicIrq& irq, const Lapic* source) const {
  if (irq.shorthand != LapicIrq::Shorthand::kNone || lapics_.empty()) return false;
  constexpr std::uint32_t kAll = 0xff, kAllX2apic = 0xffff'ffff;
  auto mode = LogicalMode::kNone;
  bool mixed = false;
  for (const Lapic* lapic : lapics_) {
    const LogicalMode its = lapic->logical_mode();
    if (its == LogicalMode::kNone) continue;
    mixed = mixed || (mode != LogicalMode::kNone && mode != its);
    mode = its;
  }
  const bool x2apic_ipi = source != nullptr && source->x2apic();
  const bool broadcast = broadcast_quirk_ ? irq.dest_id == (x2apic_ipi ? kAllX2apic : kAll)
                                          : irq.dest_id == kAllX2apic ||
                                                (irq.dest_id == kAll &&
                                                 (mixed || mode != LogicalMode::kX2apicCluster));
  return !broadcast && (!irq.logical || !mixed);
}

/// __kvm_irq_delivery_to_apic(); kvm_vector_to_index() chooses among equals.
int Interrupts::deliver_from(const Lapic* source, LapicIrq irq) {
  const bool map = mapped(irq, source);
  int result = map ? 0 : -1;
  bool lowest = irq.delivery == LapicIrq::Delivery::kLowest || irq.redirect_hint;
  if (map && !irq.logical) lowest = false;
  if (!map && !irq.logical && irq.dest_id == 0xff && lowest) {
    irq.delivery = LapicIrq::Delivery::kFixed;
    lowest = irq.redirect_hint;
  }
  std::vector<Lapic*> equals;
  for (Lapic* lapic : lapics_) {
    if (!lapic->present() || (map && irq.logical && !lapic->enabled())) continue;
    const bool reached = irq.shorthand == LapicIrq::Shorthand::kNone
                             ? lapic->matches(irq, broadcast_quirk_ && source == nullptr)
                             : reaches(irq.shorthand, lapic == source);
    if (!reached) continue;
    if (!lowest)
      result = std::max(result, 0) + (lapic->accept(irq) ? 1 : 0);
    else if (lapic->enabled())
      equals.push_back(lapic);
  }
  if (equals.empty()) return result;
  if (map) std::ranges::sort(equals, {}, &Lapic::logical_id);
  return equals[irq.vector % equals.size()]->accept(irq) ? 1 : 0;
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
