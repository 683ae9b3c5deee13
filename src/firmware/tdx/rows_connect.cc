#include "firmware/tdx/shared_checks.h"

// IOMMUs, SPDM sessions, IDE streams. The source of these is the tdxio branch, src/vmm_dispatcher/
// api_calls/tdxio and src/common/tdxio; CONNECT, MNG and DISCONNECT are not in it.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

/// A session that is there, by its index.
constexpr auto kSession = join(kIommu, kSpdmId, spdm_entry(kRdx), no_spdm(kRdx));
constexpr std::array<Check, 1> kBound{
    {{"spdm_state", kSpdmInvalidState, kRdx, "the SPDM session is not bound"}}};
constexpr std::array<Check, 1> kExtensionLock{
    {{"extension", kOperandBusy, kExtension, "another extension leaf is running"}}};
constexpr std::array<Check, 1> kStreamsLeft{
    {{"streams", kSpdmHasActiveIdeStreams, kRdx, "IDE streams are left"}}};
constexpr std::array<Check, 1> kDevifs{
    {{"devifs", kIdeStreamHasDeviceInterfaces, kRdx, "device interfaces use the stream"}}};
constexpr std::array<Check, 1> kAnswer{
    {{"answer", kSpdmInvalidState, kR8, "the session does not take the answer"}}};
/// The page of a session or stream: nobody has it but by its IOMMU, which is held.
consteval auto own_page(Operand o) {
  return unmet(kHeldAbove, own({{"busy", kOperandBusy, o, "another leaf has the page"}}));
}

constexpr auto kSpdmCreateChecks =
    join(kApi, kIommu, kSpdmId, free_page(kR8), spdm_entry(kRdx),
         own({{"spdm_present", kSpdmEntryAlreadyPresent, kRdx, "the session exists"}}));
constexpr auto kSpdmDeleteChecks = join(kApi, kSession, own_page(kRcx), kStreamsLeft);
constexpr auto kSpdmConnectChecks =
    join(kApi, kExtensionLock, kSession,
         own({{"bound", kSpdmInvalidState, kRdx, "the session is bound"}}), shared(kR8),
         object(kR8, kSpdmInvalidState), kAnswer,
         own({{"connected", kSpdmInvalidState, kRdx, "the device cannot be connected",
               "a device that cannot be connected has given an answer that is not taken"}}));
constexpr auto kRecollectChecks =
    join(kApi, kExtensionLock, kSession, kBound,
         own({{"nonce", kSpdmInvalidState, kR9, "another collection is under way"}}), shared(kR8),
         object(kR8, kSpdmInvalidState), kAnswer);
constexpr auto kInfoChecks =
    join(kApi, kExtensionLock, kSession, kBound,
         own({{"offset", kOperandInvalid, kR9, "the information is shorter"}}), shared(kR8));
constexpr auto kDisconnectChecks =
    join(kApi, kExtensionLock, kSession, kStreamsLeft, shared(kR8), object(kR8, kSpdmInvalidState));

constexpr auto kStreamCreateChecks = join(
    kApi, kSession, kBound,
    own({{"root_port", kRpNotConfigured, kR8, "no such root port"},
         {"key_id", kOperandInvalid, kR8, "the key unit has no such stream registers"},
         {"ide", kIdeStreamNotSupported, kR8, "the root port has no IDE"},
         {"block", kOperandInvalid, kR8, "the root port has no such stream registers"},
         {"block_used", kOperandInvalid, kR8, "the stream registers are enabled"},
         {"key_used", kOperandInvalid, kR8, "the key unit's stream registers are enabled"},
         {"stream_id", kIdeStreamNotFree, kR9, "the stream is in use"},
         {"rids", kOperandInvalid, kR10, "the requester range is empty, or of other root ports"},
         {"addresses", kOperandInvalid, kR12, "the address range is empty, or of other root ports"},
         {"rid_overlap", kIdeStreamRidOverlap, kRax, "another stream has these requester IDs"},
         {"address_overlap", kIdeStreamAddrOverlap, kRax, "another stream has these addresses"}}),
    free_page(kR15),
    own({{"hardware", kOperandInvalid, kR8, "the root port does not take the stream"}}));
constexpr auto kStreamBlockChecks = join(kApi, kIommu, kStreamId, kStream, kNotBlocked);
constexpr auto kStreamDeleteChecks =
    join(kApi, kIommu, kStreamId, kStream,
         own({{"not_blocked", kIdeStreamNotBlocked, kRdx, "the IDE stream is not blocked"}}),
         own_page(kRdx), own_spdm(kRdx), kDevifs);
constexpr auto kKmRequestChecks =
    join(kApi, kIommu, kStreamId, kStream, kNotBlocked,
         own({{"outstanding", kIdeKmOutReq, kRdx, "a request waits for its answer"}}),
         own_spdm(kRdx), own({{"object", kOperandInvalid, kR8, "no such IDE_KM request"}}), kDevifs,
         own({{"parameters", kOperandInvalid, kR9, "no such key"},
              {"keys", kIdeKmKeysNotReady, kRdx,
               "a key of this direction is not programmed, or was used already"},
              {"slot", kOperandInvalid, kR10, "no such key slot"}}),
         shared(kR11), own({{"seal", kSpdmInvalidState, kRdx, "the session has failed"}}));
constexpr auto kKmResponseChecks = join(
    kApi, kIommu, kStreamId, kStream, kNotBlocked,
    own({{"outstanding", kIdeKmInvalidResponse, kRdx, "no request waits"}}), own_spdm(kRdx),
    shared(kR8), object(kR8, kSpdmInvalidMessage),
    own({{"authentic", kSpdmInvalidMessage, kR8, "the answer is not the session's"},
         {"answer", kIdeKmInvalidResponse, kR8, "the answer is not that to the request"},
         {"ready", kIdeKmKeysNotReady, kRdx, "the other direction's keys are not programmed"}}));

constexpr std::string_view kPosted =
    "posted Linux host driver, drivers/virt/coco/tdx-host/tdx-host.c; no source is public";

}  // namespace

constinit const Row kSpdmCreate{.number = 130,
                                .name = "TDH.SPDM.CREATE",
                                .detail = {},
                                .fails = "TDH.SPDM.CREATE fails",
                                .source = "tdh_spdm_create.c",
                                .checks = kSpdmCreateChecks,
                                .effect = "NOT_BOUND",
                                .differs = {},
                                .only = Api::kG2};
constinit const Row kSpdmDelete{.number = 131,
                                .name = "TDH.SPDM.DELETE",
                                .detail = {},
                                .fails = "TDH.SPDM.DELETE fails",
                                .source = "tdh_spdm_delete.c",
                                .checks = kSpdmDeleteChecks,
                                .effect = "the session is gone, bound or not; RCX: its page",
                                .differs = {},
                                .only = Api::kG2};
constinit const Row kSpdmConnect{
    .number = 142,
    .name = "TDH.SPDM.CONNECT",
    .detail = {},
    .fails = "TDH.SPDM.CONNECT fails",
    .source = kPosted,
    .checks = kSpdmConnectChecks,
    .effect =
        "a message for the device, to be called again with its answer; at the end BOUND, and "
        "the hash of the device information in RDX, R8 to R12",
    .differs =
        "the message has the page of the answer, and success says that there is one; the "
        "order of checks is a guess",
    .only = Api::kG2};
constinit const Row kSpdmRecollect{
    .number = 144,
    .name = "TDH.SPDM.MNG",
    .detail = "device information",
    .fails = "TDH.SPDM.MNG fails",
    .source = kPosted,
    .checks = kRecollectChecks,
    .effect = "as CONNECT: the device measures itself with a nonce",
    .differs =
        "the nonce as an operand, and the order of checks, are guesses; HEARTBEAT and "
        "KEY_UPDATE are not there",
    .only = Api::kG2};
constinit const Row kSpdmInfo{.number = 144,
                              .name = "TDH.SPDM.MNG",
                              .detail = "read device information",
                              .fails = {},
                              .source =
                                  "this model's own: the module fills pages at the end of "
                                  "CONNECT and MNG",
                              .checks = kInfoChecks,
                              .effect = "a page of the device information; RDX: its bytes in all",
                              .differs = {},
                              .only = Api::kG2};
constinit const Row kSpdmDisconnect{
    .number = 143,
    .name = "TDH.SPDM.DISCONNECT",
    .detail = {},
    .fails = "TDH.SPDM.DISCONNECT fails",
    .source = kPosted,
    .checks = kDisconnectChecks,
    .effect = "the device is told, if a message page is given; NOT_BOUND",
    .differs = "the order of checks is a guess",
    .only = Api::kG2};
constinit const Row kIdeStreamCreate{
    .number = 132,
    .name = "TDH.IDE.STREAM.CREATE",
    .detail = {},
    .fails = "TDH.IDE.STREAM.CREATE fails",
    .source =
        "tdh_ide_stream_create.c; ide_stream.c, verify_stream_config_reg_and_map_rp_cfg() to "
        "verify_no_stream_overlaps()",
    .checks = kStreamCreateChecks,
    .effect = "the root port's registers have the stream",
    .differs =
        "selective streams only, with a key unit of each root port's own; a root port that has "
        "the stream's id elsewhere refuses, by the last check",
    .only = Api::kG2};
constinit const Row kIdeStreamBlock{
    .number = 133,
    .name = "TDH.IDE.STREAM.BLOCK",
    .detail = {},
    .fails = "TDH.IDE.STREAM.BLOCK fails",
    .source = "tdh_ide_stream_block.c",
    .checks = kStreamBlockChecks,
    .effect = "the stream carries nothing any more; there is no way back but DELETE",
    .differs = {},
    .only = Api::kG2};
constinit const Row kIdeStreamDelete{.number = 134,
                                     .name = "TDH.IDE.STREAM.DELETE",
                                     .detail = {},
                                     .fails = "TDH.IDE.STREAM.DELETE fails",
                                     .source = "tdh_ide_stream_delete.c",
                                     .checks = kStreamDeleteChecks,
                                     .effect = "the stream's id is free; RCX: its page",
                                     .differs = {},
                                     .only = Api::kG2};
constinit const Row kIdeKmRequest{
    .number = 135,
    .name = "TDH.IDE.STREAM.IDEKMREQ",
    .detail = {},
    .fails = "TDH.IDE.STREAM.IDEKMREQ fails",
    .source = "tdh_ide_stream_idekmreq.c; ide_stream.c, cfg_rc_ide_keys() and prime_rc_ide_keys()",
    .checks = kKmRequestChecks,
    .effect =
        "a message for the device; KEY_PROG: the root port has the key, and with the third of "
        "a direction and key set all three may GO. A GO of what the device transmits counts as "
        "sent also when R10 or R11 are refused",
    .differs =
        "what shares a key slot is not looked at; a fourth GO of what the device transmits stops "
        "the module there, and is as good as the third here",
    .only = Api::kG2};
constinit const Row kIdeKmResponse{
    .number = 136,
    .name = "TDH.IDE.STREAM.IDEKMRSP",
    .detail = {},
    .fails = "TDH.IDE.STREAM.IDEKMRSP fails",
    .source =
        "tdh_ide_stream_idekmrsp.c, enable_ide_stream(); aead.c, tdx_io_aead_decrypt(); "
        "ide_stream.c, verify_idekm_message_content()",
    .checks = kKmResponseChecks,
    .effect =
        "GO: the key cannot go again, and the root port uses a direction's keys when all "
        "three went; after the third GO of what the device transmits the stream is enabled. "
        "STOP: nothing. What is refused leaves the request outstanding, and what is not the "
        "session's leaves the session as it was",
    .differs = {},
    .only = Api::kG2};

}  // namespace teeio::tdx::row
