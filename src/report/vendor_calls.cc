#include "report/vendor_calls.h"

#include <algorithm>
#include <string_view>

#include "report/select.h"

namespace teeio::report {
namespace {

using object::Event;

struct GuestCall {
  std::string_view name;
  GuestAct act;
  std::string_view detail{};  ///< empty: any
  bool of_life = true;
  bool again = false;
};
constexpr GuestCall kGuestCalls[] = {
    {"TDG.DEVIF.VALIDATE", GuestAct::kAttest},
    {"TDG.DEVIF.REQUEST", GuestAct::kStart, "START_INTERFACE"},
    {"TDG.MMIO.ACCEPT", GuestAct::kAcceptMmio, {}, false},  // the mapping is shown
    {"TDG.DMAR.ACCEPT", GuestAct::kAcceptDma},
    {"RSI_VDEV_GET_INFO", GuestAct::kLook},
    {"RSI_VDEV_DMA_ENABLE", GuestAct::kAcceptDma, {}, true, true},
    {"RSI_VDEV_DMA_DISABLE", GuestAct::kGiveUpDma, {}, true, true},
    {"TIO_MSG_TDI_INFO_REQ", GuestAct::kAttest},
    {"TIO_MSG_MMIO_VALIDATE_REQ", GuestAct::kAcceptMmio},
    // An SNP guest gives its DMA up by the message that it took it with.
    {"TIO_MSG_SDTE_WRITE_REQ", GuestAct::kAcceptDma},
    {"TIO_MSG_SDTE_WRITE_REQ", GuestAct::kGiveUpDma},
    {"VMGEXIT TIO_OP", GuestAct::kStart, "run"},
};

bool is(const GuestCall& row, const Event& call) {
  return row.name == call.name && (row.detail.empty() || row.detail == call.detail);
}

struct HostCalls {
  std::string_view prefix;
  HostWork work;
  bool only_expected = false;  ///< a refusal that is none
};
/// The first that fits counts.
constexpr HostCalls kHostCalls[] = {
    {"TDH.MEM.RANGE.BLOCK", HostWork::kTearDown},
    {"TDH.MEM.PAGE.REMOVE", HostWork::kTearDown},
    {"TDH.PHYMEM.", HostWork::kTearDown},
    {"TDH.VP.FLUSH", HostWork::kTearDown},
    {"TDH.MNG.VPFLUSH", HostWork::kTearDown},
    {"TDH.MNG.KEY.FREEID", HostWork::kTearDown},
    {"TDH.IQ.INV.REQUEST", HostWork::kTearDown, true},
    {"RMI_GRANULE_RANGE_UNDELEGATE", HostWork::kTearDown},
    {"RMI_RTT_DESTROY", HostWork::kTearDown},
    {"RMI_REC_DESTROY", HostWork::kTearDown},
    {"RMI_REALM_DESTROY", HostWork::kTearDown},
    {"TDG.MEM.PAGE.ACCEPT", HostWork::kAccept},
    {"TDH.MEM.PAGE.AUG", HostWork::kAccept},
    {"TDH.MEM.SEPT.", HostWork::kMemory},
    {"TDH.MNG.", HostWork::kBuild},
    {"TDH.VP.", HostWork::kBuild},
    {"TDH.MEM.PAGE.ADD", HostWork::kBuild},
    {"TDH.MR.", HostWork::kBuild},
    {"RMI_GRANULE_RANGE_DELEGATE", HostWork::kBuild},
    {"RMI_REALM_", HostWork::kBuild},
    {"RMI_REC_", HostWork::kBuild},
    {"RMI_DATA_", HostWork::kBuild},
    {"TDH.MMIOMT.", HostWork::kMetadata},
    {"TDH.DEVIFMT.", HostWork::kMetadata},
    {"TDH.DMAR.ADD", HostWork::kMetadata},
};

}  // namespace

bool is_act(const Event& call, GuestAct act) {
  return std::ranges::any_of(kGuestCalls,
                             [&](const GuestCall& row) { return row.act == act && is(row, call); });
}

bool is_life_of_guest(const Event& call) {
  return std::ranges::any_of(kGuestCalls,
                             [&](const GuestCall& row) { return row.of_life && is(row, call); });
}

bool is_tried_again(const Event& call) {
  return std::ranges::any_of(kGuestCalls,
                             [&](const GuestCall& row) { return row.again && is(row, call); });
}

HostWork work_of(const Event& call) {
  const auto* const row = std::ranges::find_if(kHostCalls, [&](const HostCalls& calls) {
    return call.name.starts_with(calls.prefix) && (!calls.only_expected || is_expected(call));
  });
  return row == std::end(kHostCalls) ? HostWork::kOther : row->work;
}

}  // namespace teeio::report
