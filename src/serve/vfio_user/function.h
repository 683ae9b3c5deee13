#pragma once

#include <span>

#include "hw/pci_function.h"
#include "schedule/mutex.h"
#include "serve/vfio_user/client_memory.h"
#include "serve/vfio_user/irq_lines.h"
#include "serve/vfio_user/regions.h"

namespace teeio::vfio_user {

/// One function of a card, and its way to the client that has it.
///
/// Without a client its DMA fails and its messages are lost. T=1 requests fail always: the
/// protocol has no T bit, and what stands for the root port has no IDE.
///
/// Lifetime: the function outlives it. Locking: a client's task has it from take() to
/// give_back(); messages come from any task.
class Function final : private hw::DmaPort {
 public:
  /// Attaches itself to the function as its way to memory.
  explicit Function(hw::PciFunction& function);
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() override = default;

  [[nodiscard]] hw::PciFunction& pci() { return function_; }
  [[nodiscard]] Regions& regions() { return regions_; }
  [[nodiscard]] IrqLines& irqs() { return irqs_; }

  /// `memory` is the client's, until give_back(), which also forgets its descriptors. The
  /// device itself stays as it is. Precondition: nobody has it.
  void take(ClientMemory& memory) TEEIO_EXCLUDES(lock_);
  void give_back() TEEIO_EXCLUDES(lock_);
  /// DEVICE_RESET: conventional for a PF, function level for a VF. Interrupts stay connected.
  void reset();

 private:
  Result<void> dma_read(hw::Requester from, hw::TBit t, Iova address,
                        std::span<std::byte> out) override;
  Result<void> dma_write(hw::Requester from, hw::TBit t, Iova address, ByteView in) override;
  bool intx(std::uint16_t /*rid*/, bool asserted) override {
    irqs_.intx(asserted);
    return false;  // the function's Interrupt Disable is the client's
  }
  Result<ClientMemory*> memory(hw::TBit t) TEEIO_EXCLUDES(lock_);

  hw::PciFunction& function_;
  IrqLines irqs_;
  Regions regions_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  ClientMemory* memory_ TEEIO_GUARDED_BY(lock_) = nullptr;
};

}  // namespace teeio::vfio_user
