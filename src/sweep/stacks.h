#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "run/program_stack.h"

namespace teeio::sweep {

/// The program's stacks in the calls that broke rules, in the order of the violations.
class Stacks {
 public:
  /// While the call of `tid` goes on; 0: in nobody's call.
  void keep(pid_t tid) {
    if (tid == 0)
      stacks_.emplace_back();
    else if (stacks_.size() < kMost)
      stacks_.push_back(run::program_stack(tid));
    else  // none would say that it was in no call
      stacks_.push_back({"the stack was not taken"});
  }
  [[nodiscard]] const std::vector<std::string>& at(std::size_t violation) const {
    return stacks_.at(violation);
  }

  static constexpr std::size_t kMost = 16;  ///< the first say enough, and each takes a while

 private:
  std::vector<std::vector<std::string>> stacks_;
};

}  // namespace teeio::sweep
