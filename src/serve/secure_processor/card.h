#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/bar_targets.h"
#include "device/endpoint.h"
#include "hw/pci_function.h"
#include "hw/root_port.h"
#include "object/trace.h"
#include "schedule/atomic.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "serve/secure_processor/mailbox.h"
#include "serve/secure_processor/processor.h"
#include "spdm/channel_setup.h"

namespace teeio::secure_processor {

/// The secure processor as a card of one function: registers in BAR 0, memory in BAR 2. No
/// DMA, no interrupts: a command is over when the write that starts it is.
///
/// Lifetime: the trace outlives it. Locking: own lock, rank kDevice, for config space; one of
/// rank kSupervisor for the mailbox, since the firmware's own lock comes before a device's.
class Card final {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kDeviceId = 0x0e10;

  Card(object::Trace& trace, Bdf bdf, std::vector<std::unique_ptr<hw::RootPort>> ports,
       spdm::ChannelSetup channels);
  [[nodiscard]] hw::PciFunction& function() { return function_; }

 private:
  class Function final : public device::Endpoint, private device::RegisterFunction {
   public:
    Function(object::Trace& trace, schedule::Monitor& lock, Bdf bdf, Card& card);
    [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }

   private:
    void on_reset(hw::ResetKind kind) override;
    void bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                  std::span<std::byte> out) override;
    void bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) override;
    [[nodiscard]] bool answers() TEEIO_EXCLUDES(card_lock_);

    Card& card_;
    device::RegisterTarget registers_{*this, 0, hw::TBit::kShared};
    device::RegisterTarget memory_{*this, 2, hw::TBit::kShared};
  };

  void power_on() TEEIO_REQUIRES(mailbox_lock_);  ///< if a reset has come

  schedule::Monitor lock_{schedule::Rank::kDevice};
  schedule::Mutex mailbox_lock_{schedule::Rank::kSupervisor};
  Processor processor_ TEEIO_GUARDED_BY(mailbox_lock_);
  Mailbox mailbox_ TEEIO_GUARDED_BY(mailbox_lock_);
  /// A reset came, under a lock that the firmware's may not follow: the next access makes it.
  schedule::Atomic<bool> reset_{false};
  Function function_;
};

}  // namespace teeio::secure_processor
