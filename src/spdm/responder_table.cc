#include "spdm/responder_table.h"

#include <array>
#include <utility>

#include "wire/spdm_capabilities.h"

namespace teeio::spdm::responder {
namespace {

using namespace wire;
using enum Place;

constexpr std::uint32_t kAnyPsk = kSpdmCapPsk | kSpdmCapPskWithContext;
constexpr std::uint32_t kAnyMeasurements = kSpdmCapMeasNoSig | kSpdmCapMeasSig;
constexpr std::uint32_t kAnyInfo = kSpdmCapEndpointInfoNoSig | kSpdmCapEndpointInfoSig;
constexpr auto kReady = Phase::kNegotiated;

constexpr std::array kRows{
    Row{SpdmCode::kGetVersion, get_version, kOutside, Phase::kNotStarted},
    Row{SpdmCode::kGetCapabilities, get_capabilities, kOutside, Phase::kAfterVersion},
    Row{SpdmCode::kNegotiateAlgorithms, negotiate_algorithms, kOutside, Phase::kAfterCapabilities},
    Row{SpdmCode::kGetDigests, get_digests, kEither, kReady, kSpdmCapCert},
    Row{SpdmCode::kGetCertificate, get_certificate, kEither, kReady, kSpdmCapCert},
    Row{SpdmCode::kChallenge, challenge, kOutside, kReady, kSpdmCapChal},
    Row{SpdmCode::kGetMeasurements, get_measurements, kEither, kReady, kAnyMeasurements, 0, true},
    Row{SpdmCode::kGetMeasurementExtensionLog, get_extension_log, kEither, kReady, kSpdmCapMel, 0,
        true},
    Row{SpdmCode::kKeyExchange, key_exchange, kOutside, kReady, kSpdmCapKeyEx, kSpdmCapKeyEx, true},
    Row{SpdmCode::kFinish, finish, kHandshake, kReady, kSpdmCapKeyEx, kSpdmCapKeyEx, true},
    Row{SpdmCode::kPskExchange, psk_exchange, kOutside, kReady, kAnyPsk, kSpdmCapPsk, true},
    Row{SpdmCode::kPskFinish, psk_finish, kHandshake, kReady, kSpdmCapPskWithContext, kSpdmCapPsk,
        true},
    Row{SpdmCode::kHeartbeat, heartbeat, kInside, kReady, kSpdmCapHeartbeat, kSpdmCapHeartbeat,
        true},
    Row{SpdmCode::kKeyUpdate, key_update, kInside, kReady, kSpdmCapKeyUpdate, kSpdmCapKeyUpdate,
        true},
    Row{SpdmCode::kEndSession, end_session, kInside, kReady, 0, 0, true},
    Row{SpdmCode::kGetEncapsulatedRequest, get_encapsulated_request, kAnywhere, kReady,
        kSpdmCapEncap, kSpdmCapEncap},
    Row{SpdmCode::kDeliverEncapsulatedResponse, deliver_encapsulated_response, kAnywhere, kReady,
        kSpdmCapEncap, kSpdmCapEncap},
    Row{SpdmCode::kGetCsr, get_csr, kEither, kReady, kSpdmCapCsr},
    Row{SpdmCode::kSetCertificate, set_certificate, kEither, kReady, kSpdmCapSetCert},
    Row{SpdmCode::kGetKeyPairInfo, get_key_pair_info, kEither, kReady, kSpdmCapGetKeyPairInfo},
    Row{SpdmCode::kSetKeyPairInfo, set_key_pair_info, kEither, kReady, kSpdmCapSetKeyPairInfo},
    Row{SpdmCode::kGetSupportedEventTypes, get_supported_event_types, kInside, kReady,
        kSpdmCapEvent},
    Row{SpdmCode::kSubscribeEventTypes, subscribe_event_types, kInside, kReady, kSpdmCapEvent},
    Row{SpdmCode::kSlotManagement, slot_management, kEither, kReady, 0, 0, false,
        kSpdmExtendedCapSlotManagement},
    Row{SpdmCode::kGetEndpointInfo, get_endpoint_info, kEither, kReady, kAnyInfo},
};

}  // namespace

const Row* find_row(std::uint8_t code) {
  for (const Row& row : kRows)
    if (std::to_underlying(row.code) == code) return &row;
  return nullptr;
}

}  // namespace teeio::spdm::responder
