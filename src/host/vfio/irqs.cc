#include "host/vfio/irqs.h"

#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"

namespace teeio::vfio {

Irqs::~Irqs() {
  changed_ = nullptr;
  disable_all();
}

void Irqs::set_allocated(std::uint32_t vectors) {
  allocated_are_msi_.store(messages_ == IrqIndex::kMsi);
  if (enabled_vectors_ == vectors) return;
  enabled_vectors_ = vectors;
  allocated_.store(vectors);
  if (changed_) changed_();
}

/// vfio_pci_get_irq_count().
std::uint32_t Irqs::count(IrqIndex index) const {
  const auto flags = [this](std::uint8_t id) -> std::optional<std::uint32_t> {
    const auto at = hw::find_capability(function_, id);
    if (!at) return std::nullopt;
    return function_.config_read(static_cast<std::uint16_t>(*at + kMsixControl), 2);
  };
  switch (index) {
    case IrqIndex::kIntx:
      return intx_.has_pin() ? 1 : 0;
    case IrqIndex::kMsi: {
      const auto control = flags(kCapabilityMsi);
      return control ? 1U << ((*control & kMsiPossible) >> 1U) : 0;
    }
    case IrqIndex::kMsix: {
      const auto control = flags(kCapabilityMsix);
      return control ? (*control & kMsixTableSize) + 1 : 0;
    }
    case IrqIndex::kError:  // a PCI Express function has error reporting
    case IrqIndex::kRequest:
      return 1;
    case IrqIndex::kCount:
      return 0;
  }
  return 0;
}

Result<void> Irqs::set(const Request& request) {
  const schedule::Lock lock(igate_);
  switch (request.index) {
    case IrqIndex::kIntx:
      return set_intx(request);
    case IrqIndex::kMsi:
    case IrqIndex::kMsix:
      return set_messages(request);
    case IrqIndex::kError:
    case IrqIndex::kRequest:
      return set_single(request);
    case IrqIndex::kCount:
      break;
  }
  return fail(Errno::kInval, "no such interrupt index");
}

/// vfio_pci_set_intx_mask(), _unmask() and _trigger().
Result<void> Irqs::set_intx(const Request& request) {
  constexpr std::string_view kOff = "INTx is not enabled";
  const bool alone = request.start == 0 && request.count == 1;
  switch (request.action) {
    case Action::kMask:
      if (!intx_.on() || !alone) return fail(Errno::kInval, kOff);
      if (request.data == Data::kEventfd)
        return fail(Errno::kNoTty, "INTx is masked by no eventfd");
      if (request.wants(0)) (void)intx_.mask();
      return {};
    case Action::kUnmask:
      if (!intx_.on() || !alone) return fail(Errno::kInval, kOff);
      if (request.data == Data::kEventfd) return intx_.unmask_by(request.eventfds[0]);
      if (request.wants(0)) intx_.unmask();
      return {};
    case Action::kTrigger:
      break;
  }
  if (intx_.on() && request.count == 0 && request.data == Data::kNone) {
    intx_.disable();
    return {};
  }
  if (messages_ || !alone) return fail(Errno::kInval, "another kind of interrupt is enabled");
  if (request.data == Data::kEventfd) {
    TEEIO_TRY(request.eventfds[0].eventfd);
    return intx_.give(*request.eventfds[0].eventfd);
  }
  if (!intx_.on()) return fail(Errno::kInval, kOff);
  if (request.wants(0)) intx_.send();
  return {};
}

void Irqs::set_intx_disabled(bool disabled) {
  const schedule::Lock lock(igate_);
  intx_.set_disabled(disabled);
}

/// vfio_pci_set_ctx_trigger_single(): the error and the device-request eventfd.
Result<void> Irqs::set_single(const Request& request) {
  if (request.action != Action::kTrigger) return fail(Errno::kNoTty, "no such action here");
  if (request.start != 0 || request.count > 1)
    return fail(Errno::kInval, "the index has one interrupt");
  const auto at = single_.find(request.index);
  if (request.data == Data::kNone) {
    if (at == single_.end()) return fail(Errno::kInval, "the interrupt has no eventfd");
    if (request.count != 0)
      at->second->signal();
    else
      single_.erase(at);
    return {};
  }
  if (request.count == 0) return fail(Errno::kInval, "an eventfd or a value is missing");
  if (request.data == Data::kBool) {
    if (request.bools[0] && at != single_.end()) at->second->signal();
    return {};
  }
  const EventFdArgument& given = request.eventfds[0];
  if (given.fd < -1) return fail(Errno::kInval, "a negative descriptor other than -1");
  TEEIO_TRY(given.eventfd);
  if (*given.eventfd)
    single_[request.index] = *given.eventfd;
  else if (at != single_.end())
    single_.erase(at);
  return {};
}

bool Irqs::mask_intx() { return intx_.on() && intx_.mask(); }

void Irqs::unmask_intx() {
  if (intx_.on()) intx_.unmask();
}

void Irqs::request_release() {
  const schedule::Lock lock(igate_);
  if (const auto at = single_.find(IrqIndex::kRequest); at != single_.end()) at->second->signal();
}

void Irqs::disable_all() {
  const schedule::Lock lock(igate_);
  if (messages_) disable_messages();
  if (intx_.on()) intx_.disable();
  intx_.forget_disabled();
  single_.clear();
}

}  // namespace teeio::vfio
