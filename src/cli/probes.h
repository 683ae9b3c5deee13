#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace teeio::cli {

/// How much `teeio run` needs what a probe looks for.
enum class Need : std::uint8_t {
  kRequired,  ///< without it nothing runs
  kHelpful,   ///< without it something is slower or narrower
};

/// What one probe found. All texts are complete sentences' ends, without a stop.
struct Finding {
  std::string_view name;  ///< "seccomp user notification"
  Need need = Need::kRequired;
  bool present = false;
  std::string detail;        ///< what was seen: a version, a path, an errno
  std::string_view meaning;  ///< what its absence means
};

/// Tries out on this kernel, in this container, what teeio stands on. Each probe
/// does what `run` will do, in a child where it would change this process; none
/// leaves anything behind.
[[nodiscard]] std::vector<Finding> probe_kernel();

/// Why this host's KVM cannot be used, for `--host-kvm`; "" if it can.
[[nodiscard]] std::string host_kvm_problem();

}  // namespace teeio::cli
