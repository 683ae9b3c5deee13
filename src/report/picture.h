#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace teeio::report {

/// How much of a run a picture shows.
enum class Level : std::uint8_t {
  kLife,   ///< the device's and the VM's life: calls that name them, states, refusals, broken rules
  kCalls,  ///< every call; SPDM, the building and the tearing down of a VM a row each
  kAll,    ///< every event
};

/// A broken rule as pictures show it: what `rules` found, as plain data.
struct BrokenRule {
  std::uint64_t seq = 0;               ///< the event that broke it; 0: found after the last one
  std::string rule;                    ///< "R4"
  std::string title;                   ///< "the host reaches a bound device"
  std::string what;                    ///< one sentence
  std::vector<std::string> stack;      ///< calls in progress, innermost first, "[775] VFIO -> …"
  std::vector<std::string> events;     ///< what led there, oldest first, in the same form
  std::vector<std::uint64_t> witness;  ///< the numbers of `events`
  std::string sentence;                ///< the rule itself
  std::string source;                  ///< where it comes from
};

/// What a picture says besides the events.
struct RunInfo {
  std::string version;                 ///< "0.1.0"
  std::string machine;                 ///< "tdx-connect"
  std::vector<std::string> arguments;  ///< the program and its arguments
  std::vector<BrokenRule> broken;      ///< in the order in which they were found
  std::string closing;                 ///< how the run ended: the last line; may be empty
};

/// The rules that `seq` broke, in order and each once: "R2, R4"; empty if none.
[[nodiscard]] std::string broken_at(const std::vector<BrokenRule>& broken, std::uint64_t seq);

}  // namespace teeio::report
