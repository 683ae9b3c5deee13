#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace teeio::rules {

/// The steps of taking a TDI away from its VM.
enum class TeardownStep : std::uint8_t {
  kStop,          ///< the firmware's own STOP was answered, or it takes it as done (or the
                  ///< stream is blocked)
  kUnmap,         ///< private MMIO leaves the secure table
  kDmaOff,        ///< T=1 DMA no longer reaches the VM
  kFreeMetadata,  ///< the firmware forgets the TDI
  kReset,         ///< the function is reset
};
[[nodiscard]] std::string_view step_text(TeardownStep step);  ///< "the TDI was stopped"

/// `first` must be over before `then` happens.
struct OrderedPair {
  TeardownStep first;
  TeardownStep then;
};

/// One vendor's order, as data: which pairs of steps are ordered. Pairs that are
/// not listed may come either way round.
struct TeardownOrder {
  std::string_view tsm;  ///< "tdx", as tsm::Driver::name()
  std::span<const OrderedPair> pairs;
  /// A firmware that gives up a TDI which the device has not stopped (kTdiStopFailed) does so at
  /// the host's word, and the rest of the order follows.
  bool force_is_stop = false;
  /// The firmware call that unmaps private MMIO; its refusal before the stop
  /// kills the VM (Linux: KVM_BUG_ON). Empty where the firmware never refuses it.
  std::string_view unmap_call;

  [[nodiscard]] bool ordered(TeardownStep first, TeardownStep then) const;
};

/// stop → unmap → DMA off → free. Source: TDX module, tdxio branch:
/// TDH.MMIO.UNMAP and TDH.DEVIF.REMOVE check for UNLOCKED or a blocked stream.
extern const TeardownOrder kTdxOrder;
/// unmap → DMA off → stop → free. Source: TF-RMM runtime/rmi/vdev.c, VDEV_UNLOCK
/// scans for mapped granules first and turns DMA off before it queues STOP.
extern const TeardownOrder kCcaOrder;
/// stop before free; the rest either way. Source: AMDESE/linux-kvm
/// drivers/crypto/ccp/sev-dev-tsm.c, tdi_unbind(): TDI_UNBIND, where that fails TDI_UNBIND with
/// FORCE, TDI_STATUS for the log, TDI_RECLAIM.
extern const TeardownOrder kSevOrder;

/// Of a TSM whose firmware asks for no order, and of a machine without one.
extern const TeardownOrder kNoOrder;

/// The order of the TSM named `tsm` ("tdx", "cca", "sev"); kNoOrder for any other
/// name.
[[nodiscard]] const TeardownOrder& teardown_order(std::string_view tsm);

}  // namespace teeio::rules
