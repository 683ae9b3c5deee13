#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/check.h"
#include "host/vfio/interrupt_disable.h"
#include "host/vfio/irqs.h"
#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"

// MSI and MSI-X. Source: Linux drivers/vfio/pci/vfio_pci_intrs.c; drivers/pci/msi/msi.c.

namespace teeio::vfio {
namespace {

constexpr std::uint32_t kMsixEnable = 1U << 15U;
constexpr std::uint32_t kMsixFunctionMask = 1U << 14U;
constexpr std::uint64_t kEntryBytes = 16;

/// Memory space is on for as long as the MSI-X table, which lies in a BAR, is written
/// (Linux: vfio_pci_memory_lock_and_enable()).
class MemoryOn {
 public:
  explicit MemoryOn(hw::PciFunction& function)
      : function_(function), command_(function.config_read(kCommand, 2)) {
    if (!was_on()) function_.config_write(kCommand, 2, command_ | kCommandMemory);
  }
  ~MemoryOn() {
    if (!was_on()) function_.config_write(kCommand, 2, command_);
  }
  MemoryOn(const MemoryOn&) = delete;
  MemoryOn& operator=(const MemoryOn&) = delete;

 private:
  [[nodiscard]] bool was_on() const { return (command_ & kCommandMemory) != 0; }

  hw::PciFunction& function_;
  const std::uint32_t command_;
};

/// The function's MSI capability. Precondition: it has one.
class MsiRegisters {
 public:
  explicit MsiRegisters(hw::PciFunction& function)
      : function_(function),
        start_(hw::find_capability(function, kCapabilityMsi).value_or(0)),
        wide_((get(kMsiFlags, 2) & kMsi64Bit) != 0),
        maskable_((get(kMsiFlags, 2) & kMsiMaskable) != 0) {
    TEEIO_CHECK(start_ != 0, "MSI is written, and the function has none");
  }
  void enable(bool on, std::uint32_t vectors) {
    const std::uint32_t flags = get(kMsiFlags, 2) & ~(kMsiEnable | kMsiChosen);
    const auto chosen = static_cast<std::uint32_t>(std::countr_zero(vectors));
    put(kMsiFlags, 2, flags | (on ? kMsiEnable | chosen << 4U : 0));
  }
  void set_message(const hw::InterruptMessage& message) {
    put(kMsiAddress, 4, static_cast<std::uint32_t>(message.address));
    if (wide_) put(kMsiAddress + 4U, 4, static_cast<std::uint32_t>(message.address >> 32U));
    put(wide_ ? kMsiAddress + 8U : kMsiAddress + 4U, 2, message.data);
  }
  /// A bit a vector. A function that cannot mask sends all of them.
  void set_mask(std::uint32_t mask) {
    if (maskable_) put(wide_ ? 0x10 : 0x0c, 4, mask);
  }

 private:
  [[nodiscard]] std::uint32_t get(unsigned at, unsigned size) const {
    return function_.config_read(static_cast<std::uint16_t>(start_ + at), size);
  }
  void put(unsigned at, unsigned size, std::uint32_t value) {
    function_.config_write(static_cast<std::uint16_t>(start_ + at), size, value);
  }

  hw::PciFunction& function_;
  const std::uint16_t start_;
  const bool wide_, maskable_;
};

}  // namespace

/// vfio_pci_set_msi_trigger().
Result<void> Irqs::set_messages(const Request& request) {
  if (request.action != Action::kTrigger)
    return fail(Errno::kNoTty, "MSI and MSI-X vectors are masked through their own registers");
  const bool on = messages_ == request.index;
  if (on && request.count == 0 && request.data == Data::kNone) {
    disable_messages();
    return {};
  }
  if (!on && (messages_ || intx_.on()))
    return fail(Errno::kInval, "another kind of interrupt is enabled");
  if (request.data == Data::kEventfd) {
    if (on) return set_block(request);
    TEEIO_TRY(enable_messages(request.index, request.start + request.count));
    auto done = set_block(request);
    if (!done) disable_messages();
    return done;
  }
  if (!on) return fail(Errno::kInval, "this kind of interrupt is not enabled");
  for (std::uint32_t i = 0; i < request.count; ++i)
    if (const auto at = vectors_.find(request.start + i); at != vectors_.end() && request.wants(i))
      at->second->interrupt();
  return {};
}

/// vfio_msi_set_block(): after one that fails, those up to it have no eventfd.
Result<void> Irqs::set_block(const Request& request) {
  for (std::uint32_t i = 0; i < request.count; ++i) {
    const std::uint32_t vector = request.start + i;
    const EventFdArgument& given = request.eventfds[i];
    disconnect_vector(vector);
    if (given.fd < 0) continue;
    const auto connected = [&]() -> Result<void> {
      igate_.assert_held();
      // vfio_msi_alloc_irq(): only MSI-X takes further vectors while it is on.
      if (vector >= enabled_vectors_ && messages_ == IrqIndex::kMsi)
        return fail(Errno::kInval, "MSI was enabled with fewer vectors");
      if (vector >= enabled_vectors_) set_allocated(vector + 1);
      TEEIO_TRY(given.eventfd);
      return connect_vector(vector, *given.eventfd);
    }();
    if (connected) continue;
    for (std::uint32_t dropped = request.start; dropped <= vector; ++dropped)
      disconnect_vector(dropped);
    return connected;
  }
  return {};
}

/// vfio_msi_enable().
Result<void> Irqs::enable_messages(IrqIndex index, std::uint32_t vectors) {
  if (vectors == 0) return fail(Errno::kRange, "no vectors are asked for");
  if (index == IrqIndex::kMsix) {
    enable_msix(true);
  } else {
    const std::uint32_t reserved = std::bit_ceil(vectors);
    TEEIO_ASSIGN(const hw::InterruptMessage first,
                 remapping_.reserve(function_.bdf().rid(), reserved));
    const schedule::WriteLock lock(memory_lock_);
    msi_ = Msi{.first = first, .vectors = reserved, .unmasked = 0};
    msi_most_ = static_cast<std::uint32_t>(std::countr_zero(reserved));
    write_msi(*msi_);
  }
  messages_ = index;
  set_allocated(vectors);
  return {};
}

Result<void> Irqs::connect_vector(std::uint32_t vector, object::Ref<mm::EventFd> target) {
  auto handler = std::make_unique<Vector>(std::move(target));
  if (messages_ == IrqIndex::kMsix) {
    TEEIO_ASSIGN(handler->message, remapping_.connect(function_.bdf().rid(), *handler));
    program(vector, handler->message);
  } else {
    hw::InterruptMessage first;
    {
      const schedule::ReadLock lock(memory_lock_);
      first = msi_->first;
    }
    remapping_.handle(first, vector, handler.get());
    unmask_msi(vector, true);
  }
  vectors_[vector] = std::move(handler);
  return {};
}

void Irqs::disconnect_vector(std::uint32_t vector) {
  const auto at = vectors_.find(vector);
  if (at == vectors_.end()) return;
  if (messages_ == IrqIndex::kMsix) {
    unprogram(vector);
    remapping_.disconnect(at->second->message);
  } else {
    unmask_msi(vector, false);
    hw::InterruptMessage first;
    {
      const schedule::ReadLock lock(memory_lock_);
      first = msi_->first;
    }
    remapping_.handle(first, vector, nullptr);
  }
  vectors_.erase(at);
}

/// vfio_msi_disable().
void Irqs::disable_messages() {
  while (!vectors_.empty()) disconnect_vector(vectors_.begin()->first);
  if (messages_ == IrqIndex::kMsix)
    enable_msix(false);
  else
    end_msi();
  messages_.reset();
  set_allocated(0);
}

void Irqs::restore() {
  memory_lock_.assert_held();
  if (msi_) return write_msi(*msi_);
  if (!msix_on_) return;
  set_interrupt_disable(function_, true);
  set_control(kMsixEnable | kMsixFunctionMask);
  {
    const MemoryOn on(function_);
    for (const auto& [vector, message] : programmed_) write_entry(vector, message, false);
  }
  set_control(kMsixEnable);
}

// --- MSI's registers ---

/// __msi_capability_init(): all vectors masked but those that are handled.
void Irqs::write_msi(const Msi& msi) {
  MsiRegisters registers(function_);
  registers.enable(false, 1);
  registers.set_message(msi.first);
  registers.set_mask(~msi.unmasked);
  set_interrupt_disable(function_, true);
  registers.enable(true, msi.vectors);
}

void Irqs::unmask_msi(std::uint32_t vector, bool unmasked) {
  const schedule::WriteLock lock(memory_lock_);
  msi_->unmasked = (msi_->unmasked & ~(1U << vector)) | (unmasked ? 1U << vector : 0U);
  MsiRegisters(function_).set_mask(~msi_->unmasked);
}

/// pci_msi_shutdown().
void Irqs::end_msi() {
  const schedule::WriteLock lock(memory_lock_);
  MsiRegisters registers(function_);
  registers.enable(false, 1);
  registers.set_mask(0);
  set_interrupt_disable(function_, false);
  remapping_.release(msi_->first, msi_->vectors);
  msi_.reset();
}

// --- MSI-X's ---

void Irqs::program(std::uint32_t vector, const hw::InterruptMessage& message) {
  const schedule::WriteLock lock(memory_lock_);
  const MemoryOn on(function_);
  write_entry(vector, message, false);
  programmed_[vector] = message;
}

void Irqs::unprogram(std::uint32_t vector) {
  const schedule::WriteLock lock(memory_lock_);
  const MemoryOn on(function_);
  write_entry(vector, {}, true);
  programmed_.erase(vector);
}

void Irqs::write_entry(std::uint32_t vector, const hw::InterruptMessage& message, bool masked) {
  const auto at = hw::find_capability(function_, kCapabilityMsix);
  const std::uint32_t table =
      function_.config_read(static_cast<std::uint16_t>(*at + kMsixTable), 4);
  hw::MmioTarget* target = function_.bars()[table & 7U].target;
  if (target == nullptr) return;
  Writer entry;
  entry.le(message.address).le(message.data).le(std::uint32_t{masked ? 1U : 0U});
  target->mmio_write((table & ~7U) + vector * kEntryBytes, entry.take());
}

void Irqs::enable_msix(bool enabled) {
  const schedule::WriteLock lock(memory_lock_);
  set_interrupt_disable(function_, enabled);
  set_control(enabled ? kMsixEnable : 0);
  msix_on_ = enabled;
}

/// Enable and Function Mask; the rest of the register stays.
void Irqs::set_control(std::uint32_t bits) {
  const auto at = hw::find_capability(function_, kCapabilityMsix);
  const auto control = static_cast<std::uint16_t>(*at + kMsixControl);
  const std::uint32_t value =
      function_.config_read(control, 2) & ~(kMsixEnable | kMsixFunctionMask);
  function_.config_write(control, 2, value | bits);
}

}  // namespace teeio::vfio
