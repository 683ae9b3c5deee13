#pragma once

#include <array>
#include <cstdint>

#include "firmware/rmm/rows.h"
#include "hw/physical_memory.h"

namespace teeio::rmm {

/// What granules of the realms' world and accesses from it carry.
inline constexpr hw::KeyId kRealmWorld{1};

/// What OP_* calls are to do about memory, in an INCOMPLETE result.
enum class MemoryRequest : std::uint8_t { kNone = 0, kDonate = 1, kReclaim = 2 };

/// x0 in its parts, and the registers behind it.
struct [[nodiscard]] RmiResult {
  Code code = Code::kSuccess;
  std::uint8_t level = 0;  ///< of RTT: where the walk ended
  MemoryRequest memory = MemoryRequest::kNone;
  std::uint64_t x1 = 0, x2 = 0, x3 = 0, x4 = 0;  ///< what the command's comment says; 0 else
  const Check* refused_by = nullptr;             ///< for tests: no host sees it
  [[nodiscard]] bool ok() const { return code == Code::kSuccess; }
};

/// What TF-RMM's own assertions and shortcuts at that commit are to this monitor.
enum class Defects : std::uint8_t {
  kNone,        ///< what asserts there fails or recovers as its callers expect
  kAs9a7f8ef4,  ///< as in TF-RMM 9a7f8ef46378: see panic() and README.md
};

enum class GranuleState : std::uint8_t {
  kNs,
  kDelegated,
  kPartial,  ///< an object whose memory is under way
  kRd,
  kRec,
  kRecAux,
  kRtt,
  kPdev,
  kPdevAux,
  kVdev,
  kInternal,  ///< a PSMMU's table or queue
  kMapped,    ///< device memory in a realm's RTT
  kData,      ///< RAM in a realm's RTT
};
enum class RealmState : std::uint8_t { kNew, kActive, kZombie, kSystemOff };
enum class PdevState : std::uint8_t {
  kNew = 0,
  kNeedsKey = 1,
  kHasKey = 2,
  kReady = 3,
  kStopped = 4,
  kError = 5
};
enum class VdevState : std::uint8_t { kNew, kUnlocked, kLocked, kStarted, kError };
/// As the realm sees it: RSI_VDEV_STATE_*.
[[nodiscard]] constexpr std::uint8_t rsi_state(VdevState state) {
  return state == VdevState::kNew ? 0 : static_cast<std::uint8_t>(static_cast<unsigned>(state) - 1);
}

/// The monitor's own, new after every LOCK, GET_MEASUREMENTS and GET_INTERFACE_REPORT: a
/// realm that names them says which it has verified.
struct Nonces {
  std::uint64_t lock = 0, measurements = 0, report = 0;
  bool operator==(const Nonces&) const = default;
};

/// RTT levels: an entry of level 3 maps 4 KiB, of level 2 2 MiB, of level 1 1 GiB.
inline constexpr std::uint8_t kPageLevel = 3;
[[nodiscard]] constexpr std::uint64_t level_bytes(std::uint8_t level) {
  return std::uint64_t{1} << (12U + 9U * static_cast<unsigned>(kPageLevel - level));
}

/// Why REC_ENTER came back. Source: TF-RMM lib/smc/include/smc-rmi.h, RMI_EXIT_*.
enum class RecExit : std::uint8_t {
  kSync = 0,  ///< an abort of the realm's, with syndrome and address
  kIrq = 1,
  kPsci = 3,  ///< a call about power; some wait for RMI_PSCI_COMPLETE
  kRipasChange = 4,
  kHostCall = 5,
  kVdevRequest = 8,  ///< VDEV_COMPLETE is due
  kDevMemMap = 9,    ///< the realm wants device memory somewhere: DEV_MAP, DEV_VALIDATE
  kRealm = 0xff,     ///< of this model: nothing is pending, the realm runs on
};
/// RmiDataFlags: the page's contents are measured, not only its address.
inline constexpr std::uint64_t kMeasureContent = 1;
/// Flags of REC_ENTER that this monitor knows.
inline constexpr std::uint64_t kEmulatedMmio = 1U << 0U;
inline constexpr std::uint64_t kRejectRipas = 1U << 4U;
inline constexpr std::uint64_t kRejectDevMem = 1U << 6U;

/// Functions of PSCI, called with 32 bits.
inline constexpr std::uint64_t kPsciVersion = 0x8400'0000, kPsciCpuSuspend = kPsciVersion + 1,
                               kPsciCpuOff = kPsciVersion + 2, kPsciCpuOn = kPsciVersion + 3,
                               kPsciAffinityInfo = kPsciVersion + 4,
                               kPsciSystemOff = kPsciVersion + 8,
                               kPsciSystemReset = kPsciVersion + 9,
                               kPsciFeatures = kPsciVersion + 10;
inline constexpr std::uint64_t kPsci64Bits = 1U << 30U;  ///< the same, with 64
inline constexpr std::uint64_t kSmcccVersion = 0x8000'0000;

/// A call of PSCI's: its function and arguments, x0 to x3.
using PsciCall = std::array<std::uint64_t, 4>;
struct PsciResult {
  std::uint64_t x0 = 0;
  bool leaves = false;                ///< exit PSCI
  bool pending = false;               ///< its registers stay as they are
  const Check* refused_by = nullptr;  ///< for tests
};

/// Result codes of the realm's calls. Source: smc-rsi.h.
enum class RsiCode : std::uint8_t {
  kSuccess = 0,
  kInput = 1,
  kState = 2,
  kIncomplete = 3,
  kUnknown = 4,
  kDevice = 5,
  kAbort = 0xff,  ///< of this model: x1 is an IPA of the realm's RAM that nothing is mapped at
};
struct RsiResult {
  RsiCode code = RsiCode::kSuccess;
  std::uint64_t x1 = 0;               ///< up to which IPA the request was fulfilled
  std::uint64_t x2 = 0;               ///< 0: accepted; 1: the host rejects the rest
  const Check* refused_by = nullptr;  ///< for tests
};

}  // namespace teeio::rmm
