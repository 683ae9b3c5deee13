#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace teeio::schedule {

/// Bugs that this field has had, each as one small mutation in the place where
/// it would be made here: the proof that exploration finds such bugs. What each
/// was, and whose, is in seeded_bugs(); docs/seeded-bugs.md is made from it.
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

struct SeededBugInfo {
  SeededBug bug;
  std::string_view name;    ///< of --seeded-bug: "two-vdevices"
  std::string_view what;    ///< the mistake, in one sentence
  std::string_view place;   ///< the function that makes it
  std::string_view source;  ///< whose bug it was, where and when
};
/// Every bug but kNone, in order of the enumeration.
[[nodiscard]] std::span<const SeededBugInfo> seeded_bugs();
[[nodiscard]] const SeededBugInfo& seeded_bug_info(SeededBug bug);
[[nodiscard]] std::optional<SeededBug> parse_seeded_bug(std::string_view name);

}  // namespace teeio::schedule
