#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace teeio::object {

/// The parties of a run, in the order in which the mailing list draws them.
enum class Lane : std::uint8_t {
  kGuest,
  kGuestTsm,
  kVmm,
  kVfio,
  kIommufd,
  kHostTsm,
  kKvm,
  kFirmware,
  kDevice,
};
inline constexpr std::size_t kLaneCount = 9;
[[nodiscard]] std::string_view lane_name(Lane lane);  ///< "Guest TSM"

/// A state that was reached: what the rules R1–R10 judge. The comment gives the
/// meaning of an event's `function`, `vm` and the values a, b, c; those not
/// named are unused.
enum class Fact : std::uint8_t {
  kNone,              ///< the event is a call, not a state
  kTdiState,          ///< device: function's TDI left state a for b (TdiState values 0–3)
  kTdiLockNonce,      ///< device: function was locked, nonce's first 8 bytes in a
  kTdiStarted,        ///< device: START accepted with the nonce in a
  kGuestStart,        ///< firmware: vm's guest itself asked to start function; nonce in a
  kDeviceReset,       ///< device: function was reset
  kMmioMapped,        ///< firmware: vm's secure table maps gpa a to hpa b of function
  kMmioBlocked,       ///< firmware: gpa a of vm (hpa b, function) blocked
  kMmioUnmapped,      ///< firmware: gpa a of vm (hpa b, function) gone
  kMetadataCreated,   ///< firmware: function's TDI metadata exists for vm
  kMetadataRemoved,   ///< firmware: and is gone
  kTdiStopped,        ///< firmware: knows function as UNLOCKED (its own STOP answered)
  kStreamBlocked,     ///< firmware: function's IDE stream a blocked
  kTrustedDmaOn,      ///< firmware: T=1 DMA of function reaches vm
  kTrustedDmaOff,     ///< firmware: and no longer does
  kVmCreated,         ///< KVM: vm
  kVmDestroyed,       ///< KVM: vm's memory and keys are gone
  kVmDead,            ///< KVM: vm hit KVM_BUG_ON
  kBound,             ///< PCI/TSM: function bound to vm
  kUnbound,           ///< PCI/TSM: function no longer bound
  kIdeviceCreated,    ///< iommufd: function has idevice with serial a
  kIdeviceDestroyed,  ///< iommufd: serial a
  kVdeviceCreated,    ///< iommufd: function has vdevice serial a on idevice b and viommu c
  kVdeviceDestroyed,  ///< iommufd: serial a
  kViommuCreated,     ///< iommufd: serial a, of vm if vm != 0
  kViommuDestroyed,   ///< iommufd: serial a
  kVmFileReleased,    ///< KVM: last reference on vm's file gone
  kHostMapped,        ///< VFIO: function's BAR a became reachable by a program's mmap
  kHostMapRevoked,    ///< VFIO: and all its mappings are dead
  kHostTouched,       ///< VFIO: host reached function with effect: a = HostTouch
  kDma,               ///< hardware: function's DMA at iova b reached memory; a = DmaKind
  kKeyUsed,           ///< IDE: stream a programmed with key digest b
  kSequenceUsed,      ///< secured message: the key with digest a used sequence number b
  kRefLeaked,         ///< anyone: object described by the label still had a references at its end
  kUsedAfterPut,      ///< anyone: object described by the label used after its last put
  kTdiStopFailed,     ///< firmware: gives function up, whose TDI may be as it was
};

/// Values of `a` in Fact::kHostTouched.
/// kMailbox: a program wrote to a connected DSM's DOE mailbox, bound or not.
enum class HostTouch : std::uint64_t { kRead = 1, kWrite, kConfigWrite, kReset, kMailbox };

/// Values of `a` in Fact::kDma: which page class the T bit reached.
enum class DmaKind : std::uint64_t {
  kSharedToShared = 1,   ///< T=0 to shared memory
  kTrustedToOwn,         ///< T=1 to private memory of the bound VM
  kSharedToPrivate,      ///< T=0 to private memory: a breach
  kTrustedToShared,      ///< T=1 to shared memory: a breach
  kTrustedToOther,       ///< T=1 to another VM's private memory: a breach
  kTrustedToSharedHalf,  ///< T=1 to shared memory, at an address that its guest calls shared
};

/// Who acted: filled in from the running task's Origin.
struct Origin {
  std::int32_t pid = 0;  ///< the program's process; 0 for the machine itself
  std::int32_t tid = 0;  ///< 0: `pid` only opened the file whose last close this is
  std::int32_t fd = -1;
  std::string_view call;  ///< literal: "VFIO_DEVICE_TSM_BIND"
};

/// One step of a run: an arrow `from` → `to`, or (fact != kNone) a state that
/// `from` reached, drawn as a note in that lane.
///
/// Determinism: no pointer, clock or hash order reaches any field.
struct Event {
  std::uint64_t seq = 0;  ///< from 1, in order of emission
  Lane from = Lane::kVmm;
  Lane to = Lane::kVmm;
  Fact fact = Fact::kNone;
  std::string_view name;     ///< literal: "TDH.DEVIF.CREATE", "LOCK_INTERFACE"
  std::string detail;        ///< arguments as "key=value key=value"; may be empty
  std::string outcome;       ///< of a call, once it is over: "ok", "EBUSY", "TDX_OPERAND_BUSY"
  std::string why;           ///< the refusal's sentence, if any
  bool refused = false;      ///< a call that failed
  std::uint64_t parent = 0;  ///< seq of the call inside which this happened; 0 for none
  std::optional<Bdf> function;
  std::uint32_t vm = 0;  ///< VM number from 1; 0 for none
  std::uint64_t a = 0, b = 0, c = 0;
  std::uint32_t task = 0;  ///< task number within the run
  Origin origin;
};

}  // namespace teeio::object
