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
  kRec = 3,
  kRtt = 4,
  kDevice = 6,
  kBusy = 10,
  kGranule = 16,
};
[[nodiscard]] std::string_view code_name(Code code);  ///< "RMI_ERROR_GRANULE"

struct [[nodiscard]] RmiResult {
  Code code = Code::kSuccess;
  std::uint64_t x1 = 0;  ///< what the command's comment says; 0 else
  [[nodiscard]] bool ok() const { return code == Code::kSuccess; }
};

enum class GranuleState : std::uint8_t { kNs, kDelegated, kRd, kPdev, kVdev, kRec, kMapped };
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
  std::uint64_t id = 0;         ///< by which the realm names the VDEV; the host's choice
  std::vector<PaRange> ranges;  ///< sorted and disjoint, at most 8
};

/// Why REC_ENTER came back. Source: TF-RMM lib/smc/include/smc-rmi.h, RMI_EXIT_*.
enum class RecExit : std::uint8_t {
  kRealm = 0,      ///< of this model: nothing is pending, the realm runs on
  kDevMemMap = 9,  ///< the realm wants device memory somewhere: DEV_MAP, DEV_VALIDATE
};

/// Result codes of the realm's calls. Source: smc-rsi.h.
enum class RsiCode : std::uint8_t { kSuccess = 0, kInput = 1, kState = 2, kIncomplete = 3 };
struct RsiResult {
  RsiCode code = RsiCode::kSuccess;
  std::uint64_t x1 = 0;  ///< VALIDATE_MAPPING: the IPA up to which the mapping is valid
};

/// The host's part of a communication's data page: what became of the request
/// that the last call left in it.
struct HostComm {
  enum class Status : std::uint8_t { kNone, kResponse, kError } status = Status::kNone;
  std::size_t response_bytes = 0;
};

}  // namespace teeio::rmm
