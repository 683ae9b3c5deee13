#include "host/vfio/irqs.h"

#include "base/bytes.h"
#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"

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

}  // namespace

Irqs::~Irqs() {
  changed_ = nullptr;
  disable_all();
}

void Irqs::set_allocated(std::uint32_t vectors) {
  if (enabled_vectors_ == vectors) return;
  enabled_vectors_ = vectors;
  allocated_.store(vectors);
  if (changed_) changed_();
}

std::uint32_t Irqs::count(IrqIndex index) const {
  switch (index) {
    case IrqIndex::kMsix: {
      const auto at = hw::find_capability(function_, kCapabilityMsix);
      if (!at) return 0;
      return (function_.config_read(static_cast<std::uint16_t>(*at + kMsixControl), 2) & 0x7ffU) +
             1;
    }
    case IrqIndex::kError:  // a PCI Express function has error reporting
    case IrqIndex::kRequest:
      return 1;
    case IrqIndex::kIntx:
    case IrqIndex::kMsi:
    case IrqIndex::kCount:
      return 0;
  }
  return 0;
}

Result<void> Irqs::set(const Request& request) {
  const schedule::Lock lock(igate_);
  switch (request.index) {
    case IrqIndex::kMsix:
      return set_msix(request);
    case IrqIndex::kError:
    case IrqIndex::kRequest:
      return set_single(request);
    case IrqIndex::kIntx:
    case IrqIndex::kMsi:
    case IrqIndex::kCount:
      return fail(Errno::kInval, "the device has no such interrupt");
  }
  return fail(Errno::kInval, "no such interrupt index");
}

/// vfio_pci_set_msi_trigger(), MSI-X side.
Result<void> Irqs::set_msix(const Request& request) {
  if (request.action != Action::kTrigger)
    return fail(Errno::kNoTty, "MSI-X vectors are masked through their table");
  if (request.count == 0 && request.data == Data::kNone) {
    if (enabled_vectors_ == 0) return fail(Errno::kInval, "MSI-X is not enabled");
    disable_msix();
    return {};
  }
  if (request.data == Data::kEventfd) return enable_vectors(request);
  if (enabled_vectors_ == 0) return fail(Errno::kInval, "MSI-X is not enabled");
  for (std::uint32_t i = 0; i < request.count; ++i) {
    if (request.data == Data::kBool && !request.bools[i]) continue;
    if (const auto at = vectors_.find(request.start + i); at != vectors_.end())
      at->second->interrupt();
  }
  return {};
}

Result<void> Irqs::enable_vectors(const Request& request) {
  const bool first = enabled_vectors_ == 0;
  if (first) {
    set_allocated(request.start + request.count);
    enable_msix(true);
  }
  for (std::uint32_t i = 0; i < request.count; ++i) {
    const std::uint32_t vector = request.start + i;
    disconnect_vector(vector);
    const object::Ref<mm::EventFd>& target = request.eventfds[i];
    if (!target) continue;
    if (auto connected = connect_vector(vector, target); !connected) {
      if (first) disable_msix();
      return connected;
    }
    set_allocated(std::max(enabled_vectors_, vector + 1));
  }
  return {};
}

Result<void> Irqs::connect_vector(std::uint32_t vector, object::Ref<mm::EventFd> target) {
  auto handler = std::make_unique<Vector>(std::move(target));
  TEEIO_ASSIGN(handler->message, remapping_.connect(function_.bdf().rid(), *handler));
  program(vector, handler->message);
  vectors_[vector] = std::move(handler);
  return {};
}

void Irqs::disconnect_vector(std::uint32_t vector) {
  const auto at = vectors_.find(vector);
  if (at == vectors_.end()) return;
  unprogram(vector);
  remapping_.disconnect(at->second->message);
  vectors_.erase(at);
}

void Irqs::disable_msix() {
  while (!vectors_.empty()) disconnect_vector(vectors_.begin()->first);
  enable_msix(false);
  set_allocated(0);
}

/// vfio_pci_set_ctx_trigger_single(): the error and the device-request eventfd.
Result<void> Irqs::set_single(const Request& request) {
  if (request.action != Action::kTrigger) return fail(Errno::kNoTty, "no such action here");
  if (request.start != 0 || request.count > 1)
    return fail(Errno::kInval, "the index has one interrupt");
  if (request.data == Data::kEventfd) {
    if (request.count == 0 || !request.eventfds[0])
      single_.erase(request.index);
    else
      single_[request.index] = request.eventfds[0];
    return {};
  }
  const auto at = single_.find(request.index);
  if (request.data == Data::kNone && request.count == 0) {
    if (at != single_.end()) single_.erase(at);
    return {};
  }
  if (at != single_.end() && (request.data == Data::kNone || request.bools[0]))
    at->second->signal();
  return {};
}

void Irqs::drop_block(std::uint32_t start, std::uint32_t count) {
  const schedule::Lock lock(igate_);
  for (std::uint32_t i = 0; i < count; ++i) disconnect_vector(start + i);
}

void Irqs::disable_all() {
  const schedule::Lock lock(igate_);
  if (enabled_vectors_ != 0) disable_msix();
  single_.clear();
}

void Irqs::restore() {
  memory_lock_.assert_held();
  if (!msix_on_) return;
  set_control(kMsixEnable | kMsixFunctionMask);
  {
    const MemoryOn on(function_);
    for (const auto& [vector, message] : programmed_) write_entry(vector, message, false);
  }
  set_control(kMsixEnable);
}

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
