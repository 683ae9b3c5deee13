#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace teeio::rmm {

/// Result codes of host calls. Source: TF-RMM lib/smc/include/smc-rmi.h.
enum class Code : std::uint8_t {
  kSuccess = 0,
  kInput = 1,
  kRealm = 2,
  kRtt = 4,
  kDevice = 6,
  kGranule = 16,
};
[[nodiscard]] std::string_view code_name(Code code);  ///< "RMI_ERROR_GRANULE"

struct [[nodiscard]] RmiResult {
  Code code = Code::kSuccess;
  std::uint64_t x1 = 0;  ///< what the command's comment says; 0 else
  [[nodiscard]] bool ok() const { return code == Code::kSuccess; }
};

enum class GranuleState : std::uint8_t { kNs, kDelegated, kRd, kPdev, kVdev, kMapped };
enum class RealmState : std::uint8_t { kNew, kActive, kZombie };
enum class PdevState : std::uint8_t { kNew = 0, kReady = 3, kStopped = 4, kError = 5 };
enum class VdevState : std::uint8_t { kNew, kUnlocked, kLocked, kStarted, kError };

/// [base, top), bytes, granule aligned.
struct PaRange {
  Hpa base;
  Hpa top;
};
struct PdevParams {
  Bdf function;
  std::uint16_t rid_base;  ///< requester IDs of the card: [rid_base, rid_top)
  std::uint16_t rid_top;
};
struct VdevParams {
  Bdf tdi;
  std::vector<PaRange> ranges;  ///< sorted and disjoint, at most 8
};

/// The host's part of a communication's data page: what became of the request
/// that the last call left in it.
struct HostComm {
  enum class Status : std::uint8_t { kNone, kResponse, kError } status = Status::kNone;
  std::size_t response_bytes = 0;
};

}  // namespace teeio::rmm
