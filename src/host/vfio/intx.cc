#include "host/vfio/intx.h"

#include <utility>

#include "host/vfio/interrupt_disable.h"

namespace teeio::vfio {
bool Intx::has_pin() const {
  return function_.physical_function() == nullptr && function_.config_read(kInterruptPin, 1) != 0;
}

Result<void> Intx::give(object::Ref<mm::EventFd> trigger) {
  if (!on() && !has_pin()) return fail(Errno::kNoDev, "the function has no interrupt pin");
  object::Ref<mm::EventFd> old;  // put without the lock
  {
    const schedule::Section section(state_);
    old = std::exchange(trigger_, std::move(trigger));
  }
  if (!on()) enable();
  return {};
}

/// The function is masked until its interrupt has a handler: what it has to say by then is
/// said anew when it is unmasked.
void Intx::enable() {
  const schedule::Lock irq(irqlock_);
  set_interrupt_disable(function_, true);
  bool masked = false;
  {
    const schedule::Section section(state_);
    masked = masked_ = disabled_;
  }
  on_.store(true);
  remapping_.connect_intx(function_.bdf().rid(), *this);
  if (!masked) set_interrupt_disable(function_, false);
}

/// vfio_intx_disable().
void Intx::disable() {
  unmask_.reset();
  remapping_.disconnect_intx(function_.bdf().rid());
  object::Ref<mm::EventFd> old;
  {
    const schedule::Section section(state_);
    old = std::exchange(trigger_, {});
  }
  on_.store(false);
}

/// __vfio_pci_intx_mask(): also while INTx is off, for then the function follows the program's
/// bit all the same.
bool Intx::mask() {
  const schedule::Lock irq(irqlock_);
  if (on()) {
    const schedule::Section section(state_);
    if (std::exchange(masked_, true)) return false;
  }
  set_interrupt_disable(function_, true);
  return true;
}

bool Intx::may_unmask() {
  const schedule::Section section(state_);
  if (!masked_ || disabled_) return false;
  masked_ = false;
  return true;
}

/// vfio_pci_intx_unmask_handler(): an interrupt that waits comes at once, and masks itself again.
void Intx::unmask() {
  const schedule::Lock irq(irqlock_);
  if (on() && !may_unmask()) return;
  set_interrupt_disable(function_, false);
}

/// vfio_virqfd_enable(), vfio_virqfd_disable(). One that the program has closed is none any more:
/// virqfd_wakeup(), EPOLLHUP. Nobody can tell when it goes before another is given.
Result<void> Intx::unmask_by(const EventFdArgument& given) {
  if (given.fd < 0) {
    unmask_.reset();
    return {};
  }
  TEEIO_TRY(given.eventfd);
  if (unmask_ != nullptr && unmask_->closed()) unmask_.reset();
  if (unmask_ != nullptr) return fail(Errno::kBusy, "an eventfd unmasks it already");
  TEEIO_ASSIGN(unmask_, Virqfd::enable(given, [this] { unmask(); }));
  return {};
}

void Intx::send() {
  const schedule::Section section(state_);
  if (!disabled_ && trigger_) trigger_->signal();
}

/// vfio_intx_handler().
bool Intx::asserted() {
  {
    const schedule::Section section(state_);
    if (std::exchange(masked_, true)) return false;
  }
  send();
  return true;
}

void Intx::set_disabled(bool disabled) {
  {
    const schedule::Section section(state_);
    if (std::exchange(disabled_, disabled) == disabled) return;
  }
  if (disabled)
    (void)mask();
  else
    unmask();
}

void Intx::forget_disabled() {
  const schedule::Section section(state_);
  disabled_ = false;
}

}  // namespace teeio::vfio
