#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "explore/scenario/stage.h"

namespace teeio::explore {

/// What two calls on a VM's and a vCPU's state play on: an ordinary x86 VM with all interrupt
/// controllers, a timer, a vCPU that has the CPUID that there is, a memslot whose writes are
/// logged, and an eventfd.
struct VmState {
  explicit VmState(Stage& on);
  /// Of a page of the program's that begins with `head`: the page.
  std::uint64_t page(std::uint64_t head = 0);

  Stage& stage;
  Vmm& vmm;
  std::uint64_t memory = 0;  ///< the memslot's page
  int eventfd = -1;
};

/// As PairCall, of VmState.
struct VmCall {
  std::string_view name;
  std::function<Result<void>(VmState&)> act;
  std::string_view never = {};  ///< where it never succeeds: what it answers
};
[[nodiscard]] const std::vector<VmCall>& vm_calls();

}  // namespace teeio::explore
