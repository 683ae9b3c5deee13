#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/tdx/types.h"

namespace teeio::tdx {

/// One thing that a leaf looks at before it does anything. Named, with its operand, by the
/// leaf's code and by its test.
struct Check {
  std::string_view id;
  Code code = Code::kOperandInvalid;
  Operand operand = Operand::kRax;  ///< kNumber: the level or register that the status carries
  std::string_view refused_when;    ///< a sentence about the caller's mistake
  std::string_view unmet{};  ///< why nothing in this model gets as far; empty: something does
};

/// A leaf of the host (TDH) or of a guest (TDG), as the module has it.
struct Row {
  std::uint16_t number = 0;
  std::string_view name;            ///< "TDH.MMIO.MAP"
  std::string_view detail;          ///< which of the operations of that number; empty: the only one
  std::string_view fails;           ///< what the explorer calls its being busy; empty: never is
  std::string_view source;          ///< file and function of the module, or who calls it so
  std::span<const Check> checks{};  ///< in the order in which they are made
  std::string_view effect;
  std::string_view differs;   ///< from the source, in this model; empty: nothing known
  std::optional<Api> only{};  ///< the generation of the API that has it; nullopt: both
  [[nodiscard]] bool of_guest() const { return name.starts_with("TDG."); }
};

/// Every leaf, in the order of docs/firmware/tdx.md.
[[nodiscard]] std::span<const Row* const> rows();

namespace row {
extern const Row kMngCreate, kMngKeyConfig, kMngAddcx, kMngInit, kMrExtend, kMrFinalize, kVpCreate,
    kVpAddcx, kVpInit, kVpEnter, kVpFlush, kMngVpflushdone, kPhymemCacheWb, kMngKeyFreeid,
    kPhymemPageReclaim;
extern const Row kMemSeptAdd, kMemSeptRemove, kMemPageAdd, kMemPageAug, kMemPageRemove,
    kMemRangeBlock, kMemRangeUnblock, kMemTrack, kMemSharedSeptWr;
extern const Row kIommuSetregPage, kIommuSetregConfig, kIommuSetregClear, kIommuSetregRootPort,
    kIommuSetregClearRootPort, kIommuGetreg;
extern const Row kSpdmCreate, kSpdmDelete, kSpdmConnect, kSpdmRecollect, kSpdmInfo, kSpdmDisconnect,
    kIdeStreamCreate, kIdeStreamBlock, kIdeStreamDelete, kIdeKmRequest, kIdeKmResponse;
extern const Row kDevifmtAdd, kDevifmtRemove, kDevifmtRd, kDevifCreate, kDevifRemove, kDevifRequest,
    kDevifResponse, kMmiomtAdd, kMmiomtRemove, kMmiomtSet, kMmiomtRd, kMmioMap, kMmioBlock,
    kMmioUnmap;
extern const Row kG3IommuSetup, kG3IommuClear, kG3SpdmCreate, kG3SpdmDelete, kG3SpdmConnect,
    kG3SpdmMng, kG3SpdmDisconnect, kG3IdeStreamCreate, kG3IdeStreamBlock, kG3IdeStreamDelete,
    kG3IdeStreamKm;
extern const Row kDmarAdd, kDmarBlock, kDmarRead, kDmarRemove, kIqInvRequestIotlb, kIqInvRequest,
    kIqInvRequestTd, kIqInvProcess;
extern const Row kTdgVpInfo, kTdgMemPageAccept, kTdgMmioAccept, kTdgDmarAccept, kTdgIqInvRequest,
    kTdgDevifValidate, kTdgDevifRd, kTdgDevifRequest, kTdgDevifResponse, kTdgMrRtmrExtend,
    kTdgMrReport, kTdgMrVerifyreport;
}  // namespace row

}  // namespace teeio::tdx
