#pragma once

#include <cstdint>
#include <expected>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "host/pci_tsm/function.h"
#include "host/pci_tsm/ide_streams.h"

namespace teeio::kvm {
class Vm;
}

namespace teeio::tsm {

/// What a guest asks of its TDI through the host (iommufd: VDEVICE_TSM_REQ).
/// Values are the proposed uAPI's ("[PATCH v5 0/5] Add iommufd ioctls to
/// support TSM operations", 2026-05).
enum class RequestOp : std::uint32_t {
  kReadObject = 1,
  kRegenObject,
  kObjectInfo,
  kValidateMmio,
  kSetTdiState,
  kSevEnableDma,
  kSevDisableDma,
};
enum class TvmArch : std::uint32_t { kCca = 1, kSev = 2, kTdx = 3 };
/// Whether the proposals have such a number.
[[nodiscard]] constexpr bool known(RequestOp op) {
  return op >= RequestOp::kReadObject && op <= RequestOp::kSevDisableDma;
}
[[nodiscard]] constexpr bool known(TvmArch arch) {
  return arch >= TvmArch::kCca && arch <= TvmArch::kTdx;
}

struct GuestRequest {
  RequestOp op;
  TvmArch arch;
  ByteView payload;
  std::size_t response_limit;  ///< bytes that fit into the caller's buffer
};

/// Whether it is TSM_REQ_SET_TDI_STATE whose first word is TDISP's CONFIG_LOCKED.
[[nodiscard]] inline bool asks_to_lock(const GuestRequest& request) {
  constexpr std::uint32_t kConfigLocked = 1;
  Reader in(request.payload);
  return request.op == RequestOp::kSetTdiState && in.le<std::uint32_t>() == kConfigLocked;
}

/// How a guest's request ended. The firmware's code goes back to the guest in either case,
/// so it is no part of the Result.
struct GuestOutcome {
  /// Refused before the firmware was asked; what TEEIO_TRY returns.
  GuestOutcome(std::unexpected<Error> refused) : payload(std::move(refused)) {}
  GuestOutcome(Result<Bytes> answer, std::uint64_t code)
      : payload(std::move(answer)), tsm_code(code) {}

  Result<Bytes> payload;       ///< at most response_limit bytes
  std::uint64_t tsm_code = 0;  ///< the status of the firmware's last command; zero: none ran
};

/// A platform's TSM driver (Linux: struct pci_tsm_ops, link operations).
///
/// Callers use PciTsm, which owns what is common: lookup, locks, "bound twice",
/// the order of functions. A driver holds what differs: which firmware commands
/// run, in which order, and what happens when one refuses.
///
/// Locking: connect() and disconnect() run with pci_tsm_rwsem (write) and the
/// DSM's lock; refresh_keys(), bind(), unbind() and guest_request() with it (read) and the
/// DSM's lock. None may call back into PciTsm.
class Driver {
 public:
  virtual ~Driver() = default;
  /// tsm_register(): the driver is tsmN from here on, and its streams are those of `streams`.
  void registered(IdeStreams& streams, std::uint32_t number) {
    streams_ = &streams;
    number_ = number;
    size_pools(streams);
  }
  /// Short lower-case name for reports and machine files.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The device below /sys/devices that the TSM belongs to: "bus/name".
  [[nodiscard]] virtual std::string_view platform_device() const = 0;
  /// The architecture of guests whose requests this driver understands.
  [[nodiscard]] virtual TvmArch arch() const = 0;

  /// Sets up SPDM and the IDE stream with the card whose DSM is `pf0`.
  /// Errors: the firmware's or the device's, as errno; everything undone.
  virtual Result<void> connect(hw::PciFunction& pf0) = 0;
  /// Undoes connect(). Precondition: no function of the card is bound.
  virtual void disconnect(hw::PciFunction& pf0) = 0;

  /// New IDE keys for a connected card, in the key set that is not in use, while its functions go
  /// on. Errors: EOPNOTSUPP the platform has no such thing; the firmware's or the device's. Then
  /// the keys of before stay, but the stream may take no others any more.
  virtual Result<void> refresh_keys(hw::PciFunction& pf0);

  /// Confidential set-up of `tdi` for `vm`. On success the TDI is in the state
  /// in which the vendor's host leaves it: CONFIG_LOCKED on TDX Connect, still
  /// CONFIG_UNLOCKED on CCA, where the guest asks for LOCK. Errors: all undone.
  virtual Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) = 0;
  /// Takes everything of bind() and of the guest's accepts away, in the
  /// vendor's order, calling `handlers` where that order has them. Cannot fail:
  /// what the firmware refuses is forced through the vendor's emergency exit.
  virtual void unbind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                      TeardownHandlers& handlers) = 0;
  /// Errors: EINVAL for an op that this architecture does not have.
  virtual GuestOutcome guest_request(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                                     const GuestRequest& request) = 0;

 protected:
  /// For a platform that says how many streams its host bridges have. Default: as Linux.
  virtual void size_pools(IdeStreams&) {}
  // Preconditions: registered.
  [[nodiscard]] IdeStreams& streams() const { return *streams_; }
  [[nodiscard]] std::uint32_t number() const { return number_; }

 private:
  IdeStreams* streams_ = nullptr;
  std::uint32_t number_ = 0;
};

}  // namespace teeio::tsm
