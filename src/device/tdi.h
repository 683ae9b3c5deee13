#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "device/mmio_layout.h"
#include "device/report_options.h"
#include "device/tdi_state.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/monitor.h"
#include "wire/tdisp_messages.h"

namespace teeio::device {

/// Why a TDISP request was refused: what TDISP_ERROR carries, and a sentence for
/// the trace.
struct TdispRefusal {
  wire::TdispError code;
  std::string_view why;  ///< literal
  std::uint32_t data = 0;
  Bytes extended{};  ///< of VENDOR_SPECIFIC_ERROR
};
template <class T>
using TdispResult = std::expected<T, TdispRefusal>;

/// What a TDI asks of the function that it is. Called with the card's lock held.
class TdiFunction {
 public:
  virtual ~TdiFunction() = default;
  /// The function's MMIO as it lies on the bus, before the reporting offset, for
  /// a lock with or without LOCK_MSIX: at most MmioLayout::kMaxParts.
  [[nodiscard]] virtual std::vector<wire::TdispMmioRange> mmio_ranges(bool msix_locked) const = 0;
  [[nodiscard]] virtual std::uint16_t msix_message_control() const = 0;
  /// What else the report says; its ranges are in mmio_ranges().
  [[nodiscard]] virtual const ReportOptions& report_options() const;
  /// A sentence when the configuration is not one that can be locked
  /// (INVALID_DEVICE_CONFIGURATION), else nullopt.
  [[nodiscard]] virtual std::optional<std::string_view> configuration_fault() const = 0;
  /// Forgets whatever a TVM may have left in the function: memory, registers.
  virtual void scrub() = 0;
  /// Draws the nonce of a lock; false when the function's generator gives nothing
  /// (INSUFFICIENT_ENTROPY). Ours never fails.
  virtual bool draw_nonce(wire::TdispNonce& nonce);
  /// Somebody gets to the TDI but by the function itself: Endpoint::touch().
  virtual void touch_tdi(schedule::Touch::How /*how*/) const {}
};

/// What others may know of a TDI at one moment. Aligned so that it is one atomic word.
struct alignas(4) TdiView {
  TdiState state = TdiState::kConfigUnlocked;
  bool msix_lock = false;  ///< the lock it is under (if any) covers the MSI-X table
  /// The report's ranges that are non-TEE memory. In ERROR without those that
  /// SET_MMIO_ATTRIBUTE can change; none while unlocked, when T=0 reaches all.
  RangeSet non_tee = 0;

  /// Locked or running: its configuration must not change.
  [[nodiscard]] constexpr bool locked() const { return has_report(state); }
  /// answers_mmio() for an access to all these ranges of the report; none are TEE memory.
  [[nodiscard]] constexpr bool answers(hw::TBit t, RangeSet ranges) const {
    const bool to_tee = ranges == 0 || (ranges & ~unsigned{non_tee}) != 0;
    const bool to_non_tee = (ranges & non_tee) != 0;
    return (!to_tee || answers_mmio(state, t, false)) &&
           (!to_non_tee || answers_mmio(state, t, true));
  }
};

/// One TEE device interface: a function's TDISP state, the lock it is under and
/// the report that the guest reads.
///
/// Lifetime: owned by its function; outlives the DSM's use of it.
/// Locking: the card's lock, except peek() and state(), which any task may call:
/// accesses to a BAR of plain memory do.
class Tdi {
 public:
  Tdi(object::Trace& trace, Bdf bdf, TdiFunction& function)
      : trace_(trace), bdf_(bdf), function_(function) {}

  /// LOCK_INTERFACE_REQUEST flags that a lock may have.
  static constexpr std::uint16_t kLockFlags = wire::kLockNoFirmwareUpdate |
                                              wire::kLockSystemCacheLineSize | wire::kLockMsix |
                                              wire::kLockBindP2p | wire::kLockAllRequestRedirect;

  /// To CONFIG_LOCKED, with a new nonce, over the SPDM session `session`. The caller
  /// has made sure that the stream is Secure. Errors: kInvalidInterfaceState unless
  /// CONFIG_UNLOCKED; kInvalidRequest for flags outside kLockFlags or a crooked
  /// offset; kInvalidDeviceConfiguration; kInsufficientEntropy.
  TdispResult<wire::TdispNonce> lock(const wire::TdispLockInterface& request,
                                     std::uint32_t session);
  /// To RUN. Errors: kInvalidInterfaceState unless CONFIG_LOCKED; kInvalidNonce.
  TdispResult<void> start(const wire::TdispNonce& nonce);
  /// The stream carries the TDI's peer-to-peer requests from here on, and its loss
  /// is an error. The caller has made sure that it is Secure.
  /// Errors: kInvalidInterfaceState unless RUN; kInvalidRequest without
  /// kLockBindP2p, for the default stream, and for one that is bound already.
  TdispResult<void> bind_p2p(std::uint8_t stream_id);
  /// Errors: kInvalidInterfaceState unless RUN; kInvalidRequest for a stream that is
  /// not bound.
  TdispResult<void> unbind_p2p(std::uint8_t stream_id);
  /// Sets or clears the range's kMmioNonTeeMemory. Errors: kInvalidInterfaceState
  /// unless RUN; kInvalidRequest for what is no whole range of the report that is
  /// marked kMmioAttributeUpdatable.
  TdispResult<void> set_mmio_attribute(const wire::TdispMmioRange& range);
  /// To CONFIG_UNLOCKED from any state; what the TVM left is scrubbed.
  void stop();
  /// Something that is locked was changed: to ERROR if LOCKED or RUN. `cause` is a
  /// literal of one word ("bus-master-cleared").
  void violate(std::string_view cause);
  void reset(hw::ResetKind kind);

  /// Part of the encoded report. Errors: kInvalidInterfaceState unless LOCKED or
  /// RUN; kInvalidRequest for no bytes or an offset at or beyond the end.
  [[nodiscard]] TdispResult<wire::TdispInterfaceReportPortion> report(std::uint16_t offset,
                                                                      std::uint16_t length) const;

  [[nodiscard]] Bdf bdf() const { return bdf_; }
  [[nodiscard]] const TdiView& view() const { return view_; }
  /// view() for tasks without the card's lock.
  void touch(schedule::Touch::How how) const { function_.touch_tdi(how); }
  [[nodiscard]] TdiView peek() const { return published_.load(); }
  [[nodiscard]] TdiState state() const { return peek().state; }
  /// The stream is its default one or bound for peer-to-peer, while LOCKED or RUN.
  [[nodiscard]] bool uses(std::uint8_t stream_id) const;
  /// Of LOCK_INTERFACE, while LOCKED or RUN; else 0.
  [[nodiscard]] std::uint16_t lock_flags() const {
    return view_.locked() ? lock_.flags : std::uint16_t{0};
  }
  /// The SPDM session over which it was locked, while LOCKED or RUN.
  [[nodiscard]] std::optional<std::uint32_t> session() const;

 private:
  void enter(TdiState next, std::string_view cause);
  void publish(TdiView view);

  object::Trace& trace_;
  const Bdf bdf_;
  TdiFunction& function_;
  TdiView view_;
  schedule::Word<TdiView> published_;  ///< a copy of view_
  wire::TdispLockInterface lock_;      ///< the request that locked it
  std::uint32_t session_ = 0;
  std::vector<std::uint8_t> p2p_streams_;
  wire::TdispNonce nonce_{};
  wire::TdispReport report_;  ///< made when the lock was taken
  Bytes encoded_;             ///< report_
};

}  // namespace teeio::device
