#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace teeio::schedule {

/// What can go wrong where code asks fault_at(). The comment says who asks.
enum class Fault : std::uint8_t {
  kNone,
  kRefuse,     ///< a firmware command is refused for good, before it did anything
  kBusy,       ///< the same, because something is busy: the same call again may do
  kInterrupt,  ///< a firmware command was interrupted: the same call again goes on
  kDrop,       ///< a device's answer is lost
  kLate,       ///< a device's answer comes when nobody waits for it any more
  kGarble,     ///< a bit of a device's answer is flipped
  kGone,       ///< a device gives no answers from here on
  kNoMemory,   ///< an object of the host's finds no memory (Linux: failslab)
  kNoPage,     ///< a page of the host's likewise (fail_page_alloc)
  kNoPin,      ///< a step that iommufd lets fail (fail_iommufd)
};
enum class FaultPlace : std::uint8_t { kFirmware, kDevice, kHost };

/// Who decides what goes wrong in a native run: `teeio run --inject`, `teeio sweep`.
/// Locking: asked by any task, several at a time, holding any lock: a leaf.
class FaultPlan {
 public:
  virtual ~FaultPlan() = default;
  /// `name` ("TDH.DEVIF.CREATE", "KEY_EXCHANGE"; a literal) is at a point where `fault`
  /// can happen. True: it does.
  virtual bool happens(FaultPlace place, std::string_view name, Fault fault) = 0;
};

/// nullptr: nothing goes wrong. Not while tasks run.
void set_fault_plan(FaultPlan* plan);
/// The same for FaultPlace::kHost: what programs themselves make go wrong.
void set_host_fault_plan(FaultPlan* plan);

/// Whether `fault` happens here. Never under the explorer, which has choose().
[[nodiscard]] bool fault_at(FaultPlace place, std::string_view name, Fault fault);

/// Before the host takes memory for `what` (a literal), and before anything that would have to
/// be undone. Errors: ENOMEM.
Result<void> allocate(std::string_view what);
/// The same for a page, such as one of page tables.
Result<void> allocate_page(std::string_view what);

}  // namespace teeio::schedule
