#include "firmware/tdx/shared_checks.h"

// IOMMUs, SPDM sessions and IDE streams of the newer API. Numbers, registers and the order of
// calls are those of the posted Linux driver; checks are those of the tdxio branch, or a guess.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

constexpr std::string_view kDriver =
    "posted Linux, \"[PATCH v1 00/26] TDX Connect\", tdx.c and tdx-host.c; no module is public";
constexpr std::string_view kGuess = "the order of checks is a guess";

/// An array of pages that the host donates, or lends.
consteval std::array<Check, 2> array(Operand o) {
  return {{{"array", kOperandInvalid, o, "the module wants another number of pages"},
           {"list", kOperandInvalid, o, "the page of their addresses is no page of the host's"}}};
}
consteval std::array<Check, 1> one_page(Operand o) {
  return {{{"array", kOperandInvalid, o, "the module wants another number of pages"}}};
}
constexpr std::array<Check, 2> kIommuOf{
    {{"iommu_busy", kOperandBusy, kRcx, "another leaf has the IOMMU"},
     {"iommu_state", kIommuInvalidState, kRcx, "the IOMMU is not set up"}}};
/// A session by its id.
consteval auto session(Operand o) {
  return join(kIommuOf, own({{"spdm_busy", kOperandBusy, o, "another leaf has the SPDM session"},
                             {"no_spdm", kSpdmEntryNotPresent, o, "no such SPDM session"}}));
}
consteval std::array<Check, 1> bound(Operand o) {
  return {{{"spdm_state", kSpdmInvalidState, o, "the SPDM session is not bound"}}};
}
constexpr std::array<Check, 1> kExtensionLock{
    {{"extension", kOperandBusy, kExtension, "another extension leaf is running"}}};
constexpr std::array<Check, 1> kStreamsLeft{
    {{"streams", kSpdmHasActiveIdeStreams, kRcx, "IDE streams are left"}}};
constexpr std::array<Check, 1> kDevifs{
    {{"devifs", kIdeStreamHasDeviceInterfaces, kRdx, "device interfaces use the stream"}}};
/// A page of a session or stream: nobody has it but by its IOMMU, which is held.
consteval auto own_page(Operand o) {
  return unmet(kHeldAbove, own({{"busy", kOperandBusy, o, "another leaf has the page"}}));
}
consteval std::array<Check, 1> answer(Operand o) {
  return {{{"answer", kSpdmInvalidState, o, "the session does not take the answer"}}};
}
consteval std::array<Check, 1> space(Operand o) {
  return {{{"space", kOperandInvalid, o, "the device information does not fit"}}};
}

constexpr auto kSetupChecks =
    join(kApi,
         own({{"registers", kOperandInvalid, kRcx, "no IOMMU with TDX Connect is there"},
              {"iommu_busy", kOperandBusy, kRcx, "another leaf has the IOMMU"},
              {"iommu_state", kIommuInvalidState, kRcx, "the IOMMU is set up"}}),
         array(kRdx), free_page(kRdx),
         own({{"root_port", kRpIdeMustBeDisabled, kRcx, "a root port's IDE stream is on"}}));
constexpr auto kCreateChecks = join(
    kApi, function_id(kRcx),
    own({{"root_port", kRpNotConfigured, kRcx, "no root port leads to the function"}}), kIommuOf,
    array(kRdx), free_page(kRdx),
    own({{"sessions", kSpdmEntryAlreadyPresent, kRcx, "the IOMMU has as many sessions as fit"}}));
constexpr auto kDeleteChecks =
    join(kApi, session(kRcx), shared(kRdx), own_page(kRcx), kStreamsLeft);
constexpr auto kConnectChecks =
    join(kApi, kExtensionLock, session(kRcx),
         own({{"bound", kSpdmInvalidState, kRcx, "the session is bound"}}), shared(kRdx),
         own({{"configuration", kOperandInvalid, kRdx,
               "the configuration has what is not known, or leaves slot 0 out"}}),
         shared(kR8), shared(kR9), array(kR10), shared(kR10), object(kR8, kSpdmInvalidState),
         answer(kR8),
         own({{"connected", kSpdmInvalidState, kRcx, "the device cannot be connected",
               "a device that cannot be connected has given an answer that is not taken"}}),
         space(kR10));
constexpr auto kMngChecks =
    join(kApi, kExtensionLock, session(kRcx), bound(kRcx),
         own({{"operation", kOperandInvalid, kRdx, "there is no such operation"},
              {"under_way", kSpdmInvalidState, kRdx, "another operation is under way"},
              {"capability", kOperandInvalid, kRdx, "the session was not configured for it"},
              {"parameter", kOperandInvalid, kR8, "a recollection wants a nonce"}}),
         shared(kR8), shared(kR9), shared(kR10), array(kR11), shared(kR11),
         object(kR9, kSpdmInvalidState), answer(kR9),
         own({{"upkeep", kSpdmInvalidState, kRcx, "the device does no such thing"}}), space(kR11));
constexpr auto kDisconnectChecks =
    join(kApi, kExtensionLock, session(kRcx), kStreamsLeft, shared(kRdx), shared(kR8));

constexpr auto kStreamCreateChecks = join(
    kApi, session(kRdx), bound(kRdx),
    own({{"link", kOperandInvalid, kRcx, "a link stream"},
         {"control", kOperandInvalid, kR9, "the control register is not zero"},
         {"rid_valid", kOperandInvalid, kR11, "the requester range is not valid"},
         {"address_valid", kOperandInvalid, kR12, "the address range is not valid"},
         {"root_port", kRpNotConfigured, kRcx, "no such root port"},
         {"ide", kIdeStreamNotSupported, kRcx, "the root port has no IDE"},
         {"block", kOperandInvalid, kRcx,
          "the root port's stream registers, or all ids, are in use"},
         {"rids", kOperandInvalid, kR10, "the requester range is empty, or of other root ports"},
         {"addresses", kOperandInvalid, kR12, "the address range is empty, or of other root ports"},
         {"rid_overlap", kIdeStreamRidOverlap, kRax, "another stream has these requester IDs"},
         {"address_overlap", kIdeStreamAddrOverlap, kRax, "another stream has these addresses"}}),
    one_page(kR8), free_page(kR8),
    own({{"hardware", kOperandInvalid, kRcx, "the root port does not take the stream",
          "the module takes registers and an id that are free"}}));
constexpr auto kClearChecks =
    join(kApi, own({{"iommu", kOperandInvalid, kRcx, "bad IOMMU id"},
                    {"no_iommu", kIommuInvalidState, kRcx, "no such IOMMU"},
                    {"iommu_busy", kOperandBusy, kRcx, "another leaf has the IOMMU"},
                    {"iommu_state", kIommuInvalidState, kRcx, "the IOMMU is not set up"},
                    {"sessions", kIommuInvalidState, kRcx, "SPDM sessions are left"}}));
constexpr auto kStreamBlockChecks = join(kApi, session(kRcx), kStream, kNotBlocked);
constexpr auto kStreamDeleteChecks =
    join(kApi, session(kRcx), kStream,
         own({{"not_blocked", kIdeStreamNotBlocked, kRdx, "the IDE stream is not blocked"}}),
         own_page(kRdx), bound(kRcx), kDevifs);
constexpr auto kStreamKmChecks =
    join(kApi, session(kRcx), kStream, kNotBlocked, bound(kRcx),
         own({{"operation", kOperandInvalid, kR8, "there is no such operation"},
              {"under_way", kIdeKmOutReq, kRdx, "another operation is under way"}}),
         kDevifs,
         own({{"enabled", kIdeStreamInvalidState, kRdx, "the stream has its keys"},
              {"not_enabled", kIdeKmKeysNotReady, kRdx, "the stream has no keys to refresh"}}),
         shared(kR9), shared(kR10), object(kR9, kSpdmInvalidMessage),
         own({{"authentic", kSpdmInvalidMessage, kR9, "the answer is not the session's"},
              {"answer", kIdeKmInvalidResponse, kR9, "the answer is not that to the request"},
              {"worn", kSpdmSessionKeyRequireRefresh, kRax,
               "the session's keys have served their time: KEY_UPDATE comes first"},
              {"ready", kIdeKmKeysNotReady, kRdx, "the other direction's keys are not programmed",
               "all keys are programmed before one goes"},
              {"seal", kSpdmInvalidState, kRcx, "the session has failed"}}));

}  // namespace

constinit const Row kG3IommuSetup{
    .number = 128,
    .name = "TDH.IOMMU.SETUP",
    .detail = "G3",
    .fails = "TDH.IOMMU.SETUP fails",
    .source = kDriver,
    .checks = kSetupChecks,
    .effect =
        "the trusted side is on, with the host's root table and queue; RCX: the IOMMU's id. A "
        "host takes OPERAND_INVALID for an IOMMU without TDX Connect",
    .differs = "two pages; the order of checks is a guess",
    .only = Api::kG3};
constinit const Row kG3IommuClear{
    .number = 129,
    .name = "TDH.IOMMU.CLEAR",
    .detail = "G3",
    .fails = "TDH.IOMMU.CLEAR fails",
    .source = kDriver,
    .checks = kClearChecks,
    .effect = "the trusted side is off; its pages come back by RECLAIM",
    .differs = kGuess,
    .only = Api::kG3};
constinit const Row kG3SpdmCreate{.number = 130,
                                  .name = "TDH.SPDM.CREATE",
                                  .detail = "G3",
                                  .fails = "TDH.SPDM.CREATE fails",
                                  .source = kDriver,
                                  .checks = kCreateChecks,
                                  .effect = "NOT_BOUND; RCX: the session's id",
                                  .differs = kGuess,
                                  .only = Api::kG3};
constinit const Row kG3SpdmDelete{
    .number = 131,
    .name = "TDH.SPDM.DELETE",
    .detail = "G3",
    .fails = "TDH.SPDM.DELETE fails",
    .source = kDriver,
    .checks = kDeleteChecks,
    .effect =
        "the session is gone, bound or not; the addresses of its pages are in a page of the "
        "host's, and RCX has that page and their number",
    .differs = kGuess,
    .only = Api::kG3};
constinit const Row kG3SpdmConnect{
    .number = 142,
    .name = "TDH.SPDM.CONNECT",
    .detail = "G3",
    .fails = "TDH.SPDM.CONNECT fails",
    .source = kDriver,
    .checks = kConnectChecks,
    .effect =
        "SPDM_REQUEST with a message for the device, RCX its bytes, to be called again with the "
        "answer; at the end BOUND, and RCX bytes of device information in the host's pages. "
        "Interruptible before a message",
    .differs = "slot 0 is what certificates are asked of; the order of checks is a guess",
    .only = Api::kG3};
constinit const Row kG3SpdmMng{
    .number = 144,
    .name = "TDH.SPDM.MNG",
    .detail = "G3",
    .fails = "TDH.SPDM.MNG fails",
    .source = kDriver,
    .checks = kMngChecks,
    .effect =
        "as CONNECT: HEARTBEAT, KEY_UPDATE of both directions, or RECOLLECT, in which the device "
        "measures itself with a nonce",
    .differs = "the nonce as a parameter, and the order of checks, are guesses",
    .only = Api::kG3};
constinit const Row kG3SpdmDisconnect{
    .number = 143,
    .name = "TDH.SPDM.DISCONNECT",
    .detail = "G3",
    .fails = "TDH.SPDM.DISCONNECT fails",
    .source = kDriver,
    .checks = kDisconnectChecks,
    .effect = "SPDM_REQUEST while the device is told; then NOT_BOUND, whatever it said",
    .differs = kGuess,
    .only = Api::kG3};
constinit const Row kG3IdeStreamCreate{
    .number = 132,
    .name = "TDH.IDE.STREAM.CREATE",
    .detail = "G3",
    .fails = "TDH.IDE.STREAM.CREATE fails",
    .source = kDriver,
    .checks = kStreamCreateChecks,
    .effect =
        "the root port's registers have the stream; RCX: its id, RDX: which registers, both the "
        "module's choice",
    .differs =
        "selective streams without PCRC and in TC 0 only; the lowest id from 1 on, and the order "
        "of checks, are guesses",
    .only = Api::kG3};
constinit const Row kG3IdeStreamBlock{
    .number = 133,
    .name = "TDH.IDE.STREAM.BLOCK",
    .detail = "G3",
    .fails = "TDH.IDE.STREAM.BLOCK fails",
    .source = kDriver,
    .checks = kStreamBlockChecks,
    .effect = "the stream carries nothing any more; there is no way back but DELETE",
    .differs = kGuess,
    .only = Api::kG3};
constinit const Row kG3IdeStreamDelete{.number = 134,
                                       .name = "TDH.IDE.STREAM.DELETE",
                                       .detail = "G3",
                                       .fails = "TDH.IDE.STREAM.DELETE fails",
                                       .source = kDriver,
                                       .checks = kStreamDeleteChecks,
                                       .effect = "the stream's id is free; RCX: its page",
                                       .differs = kGuess,
                                       .only = Api::kG3};
constinit const Row kG3IdeStreamKm{
    .number = 135,
    .name = "TDH.IDE.STREAM.KM",
    .detail = {},
    .fails = "TDH.IDE.STREAM.KM fails",
    .source = kDriver,
    .checks = kStreamKmChecks,
    .effect =
        "SPDM_REQUEST with a message for the device, to be called again with the answer: SETUP "
        "programs six keys and lets each go, which enables the stream; REFRESH does so with the "
        "other key set; STOP takes each back. What is refused leaves the request outstanding, "
        "and then BLOCK is left",
    .differs =
        "that a bad answer wedges the stream, and one that is not the session's changes nothing, "
        "both as in G2, is a guess, and so is the order of checks. The explorer says when the "
        "session's keys want a refresh",
    .only = Api::kG3};

}  // namespace teeio::tdx::row
