#pragma once

#include <cstdint>

namespace teeio::schedule {

/// Bugs that this field has had, each as one small mutation in the place where
/// it would be made here: the proof that exploration finds such bugs. What each
/// was, and whose, is in explore/scenario/seeded_bugs.h, since this room knows no product:
/// here they are numbers.
///
/// One at a time can be planted, by plant_bug.h, which only exploration and its
/// tests include; `teeio run` has no way to it.
enum class SeededBug : std::uint8_t {
  kNone,
  // iommufd
  kVdeviceOutlivesIdevice,
  kDestroyRacesIdevice,
  kTwoVdevices,
  kVdeviceVisibleEarly,
  kUnbindLeaksLock,
  kIovaAlignOverflow,
  // dma-bufs
  kUnpinWithoutLock,
  kAttachRacesRevoke,
  kRevokeDoesNotWait,
  kCompletionUsedUp,
  kRevokedAfterReset,
  // PCI/TSM
  kVfAsPf0,
  kTdiUnset,
  kSharedHandlers,
  kDuplicateStreamLinks,
  // KVM and VFIO
  kRawVmPointer,
  kFaultIgnoresRevoke,
  kKvmVfioCycle,
  kGmemNotInvalidated,
  kZapRacesD0,
  kMainlineClose,
  // the IOMMU
  kDrainForgotten,
};

namespace detail {
inline constinit SeededBug planted_bug = SeededBug::kNone;
}

/// Whether the code at hand is to make this mistake: one load and one branch.
[[nodiscard]] inline bool seeded(SeededBug bug) {
  if (detail::planted_bug == bug) [[unlikely]]
    return true;
  return false;
}

}  // namespace teeio::schedule
