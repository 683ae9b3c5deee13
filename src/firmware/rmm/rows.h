#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace teeio::rmm {

/// Result codes of host calls. Source: TF-RMM lib/smc/include/smc-rmi.h.
enum class Code : std::uint8_t {
  kSuccess = 0,
  kInput = 1,
  kRealm = 2,
  kRec = 3,
  kRtt = 4,
  kNotSupported = 5,
  kDevice = 6,
  kRttAux = 7,
  kPsmmuSt = 8,
  kDpt = 9,
  kBusy = 10,
  kGlobal = 11,
  kTracking = 12,
  kIncomplete = 13,
  kBlocked = 14,
  kGpt = 15,
  kGranule = 16,
  // PSCI's results of a realm's calls: its negative number, positive, in the lower half.
  kPsciNotSupported = 0xe1,
  kPsciInvalidParameters = 0xe2,
  kPsciDenied = 0xe3,
  kPsciAlreadyOn = 0xe4,
  kPsciInvalidAddress = 0xe9,
  kSmcNotSupported = 0xff,  ///< SMCCC's own: there is no such call
};
inline constexpr std::uint64_t kPsciMask = 0xf;
[[nodiscard]] std::string_view code_name(Code code);  ///< "RMI_ERROR_GRANULE"
/// The realm's word for it: "RSI_ERROR_STATE" for kRealm, and so on.
[[nodiscard]] std::string_view rsi_code_name(Code code);

/// One thing that a command looks at before it does anything.
struct Check {
  std::string_view id;  ///< by which the command's code and its test name it
  Code code = Code::kInput;
  std::string_view refused_when;  ///< a sentence about the host's mistake
  bool reached = true;            ///< false: another check of the row always comes first
};

/// A command of the host, or a call of the realm, as TF-RMM has it.
struct Row {
  /// n of SMC 0xC4000150 + n; a realm's call: 0xC4000190 + n, or PSCI's 0x84000000 + n.
  std::uint16_t number = 0;
  std::string_view name;            ///< "RMI_PDEV_STOP"
  std::string_view fails;           ///< what the explorer calls its being busy; empty: never is
  std::string_view source;          ///< function and file of TF-RMM
  std::span<const Check> checks{};  ///< in the order in which they are made
  std::string_view effect;
  std::string_view differs;  ///< from the source, in this model; empty: nothing known
  [[nodiscard]] bool of_psci() const { return name.starts_with("PSCI_"); }
  [[nodiscard]] bool of_realm() const { return name.starts_with("RSI_") || of_psci(); }
  [[nodiscard]] std::string_view status_name(Code code) const {
    return of_realm() && !of_psci() ? rsi_code_name(code) : code_name(code);
  }
};

/// Every command, those of device assignment first, in the order of docs/firmware/rmm.md.
[[nodiscard]] std::span<const Row* const> rows();

namespace row {
extern const Row kPdevCreate, kPdevCommunicate, kPdevGetState, kPdevSetPubkey, kPdevStreamConnect,
    kPdevStreamComplete, kPdevStreamDisconnect, kPdevStreamKeyRefresh, kPdevStreamKeyPurge,
    kPdevStop, kPdevAbort, kPdevDestroy;
extern const Row kVdevCreate, kVdevCommunicate, kVdevGetState, kVdevLock, kVdevStart,
    kVdevGetMeasurements, kVdevGetInterfaceReport, kVdevComplete, kVdevUnlock, kVdevAbort,
    kVdevDestroy;
extern const Row kPsmmuActivate, kPsmmuDeactivate, kPsmmuStL2Create, kPsmmuStL2Destroy;
extern const Row kRttDevMap, kRttDevUnmap, kRttDevValidate;
extern const Row kRttDataMap, kRttDataUnmap, kRttDataMapInit, kRttUnprotMap, kRttUnprotUnmap;
extern const Row kOpContinue, kOpMemDonate, kOpMemReclaim, kOpCancel;
extern const Row kRsiVdevGetInfo, kRsiVdevValidateMapping, kRsiVdevDmaEnable, kRsiVdevDmaDisable,
    kRsiIpaStateSet;
extern const Row kRsiVersion, kRsiFeatures, kRsiRealmConfig, kRsiIpaStateGet, kRsiHostCall;
extern const Row kRsiMeasurementRead, kRsiMeasurementExtend, kRsiAttestTokenInit,
    kRsiAttestTokenContinue;
extern const Row kPsciComplete, kPsciVersion, kPsciCpuSuspend, kPsciCpuOff, kPsciCpuOn,
    kPsciAffinityInfo, kPsciSystemOff, kPsciSystemReset, kPsciFeatures;
extern const Row kGranuleRangeDelegate, kGranuleRangeUndelegate, kRealmCreate, kRealmActivate,
    kRealmTerminate, kRealmDestroy, kRecCreate, kRecDestroy, kRecEnter, kRttCreate, kRttDestroy,
    kRttFold, kRttReadEntry, kRttInitRipas, kRttSetRipas;
}  // namespace row

}  // namespace teeio::rmm
