#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "explore/scenario/stage.h"

namespace teeio::explore {

/// The function is assigned; or bound too, with a page of private MMIO mapped.
enum class PairState : std::uint8_t { kReady, kBound };

/// What two calls play on: a VMM whose device is in that state and which has, besides, a
/// page of its memory in its IOAS and room for it in a second one, the first's HWPT
/// attached, a memslot of memory and one of a guest_memfd, with their pages faulted in
/// where the firmware lets it, and two vectors of MSI-X connected.
struct Pair {
  Pair(Stage& on, PairState state);
  Stage& stage;
  Vmm& vmm;
  std::uint32_t other_ioas = 0;
  std::uint64_t memory = 0;  ///< a page of the program's
  int gmem = -1, eventfd = -1;
  int memfd = -1, sev = -1;  ///< of calls that prepare them
};

/// What one thread of a pair does: a call, or two that belong together. Any answer is
/// right, and the end judges; but a call that no pair of an exploration has let succeed is
/// told (explore::never_succeeded()).
struct PairCall {
  std::string_view name;  ///< "IOAS_MAP"
  /// Gives what its last call answered, or the first that was needed for it.
  std::function<Result<void>(Pair&)> act;
  /// What must be so before, as part of the set-up; may be empty.
  std::function<void(Pair&)> prepare = {};
  /// A guest's first touch of private memory: KVM may give the VM up for it.
  bool kills_vm = false;
  /// It takes private MMIO of a locked TDI from its guest, which the TDX module refuses.
  bool takes_mmio = false;
  /// Where no state lets it succeed, and what it answers there.
  struct Never {
    std::vector<machine::TsmKind> on = {};
    std::string_view answer = {};
  };
  Never never = {};
  /// It connects the card, or resets the function in the middle of others' exchanges with it.
  enum class Link : std::uint8_t { kNone, kConnects, kResets };
  Link link = Link::kNone;
  /// Another call after which the machine is not as at boot, if both were made.
  std::string_view not_with = {};
  bool removes = false, follows_removal = false;  ///< as Actor's
  /// Of the others only these, and itself; empty: all.
  std::vector<std::string_view> against = {};
  /// Firmwares that have it; empty: all.
  std::vector<machine::TsmKind> only = {};
};

/// Those of this file and all opponents().
[[nodiscard]] const std::vector<PairCall>& pair_calls();

}  // namespace teeio::explore
