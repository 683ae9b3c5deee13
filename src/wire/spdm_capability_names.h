#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "wire/spdm_capabilities.h"

namespace teeio::wire {

/// A bit of a mask and its short name.
struct NamedBit {
  std::uint32_t mask = 0;
  std::string_view name;
};

/// The specification's names of capabilities, without "_CAP"; the values of MEAS_CAP, PSK_CAP
/// and EP_INFO_CAP each as a bit.
inline constexpr std::array kSpdmCapNames{
    NamedBit{kSpdmCapCache, "CACHE"},
    NamedBit{kSpdmCapCert, "CERT"},
    NamedBit{kSpdmCapChal, "CHAL"},
    NamedBit{kSpdmCapMeasNoSig, "MEAS_NO_SIG"},
    NamedBit{kSpdmCapMeasSig, "MEAS_SIG"},
    NamedBit{kSpdmCapMeasFresh, "MEAS_FRESH"},
    NamedBit{kSpdmCapEncrypt, "ENCRYPT"},
    NamedBit{kSpdmCapMac, "MAC"},
    NamedBit{kSpdmCapMutAuth, "MUT_AUTH"},
    NamedBit{kSpdmCapKeyEx, "KEY_EX"},
    NamedBit{kSpdmCapPsk, "PSK"},
    NamedBit{kSpdmCapPskWithContext, "PSK_CONTEXT"},
    NamedBit{kSpdmCapEncap, "ENCAP"},
    NamedBit{kSpdmCapHeartbeat, "HBEAT"},
    NamedBit{kSpdmCapKeyUpdate, "KEY_UPD"},
    NamedBit{kSpdmCapHandshakeInTheClear, "CLEAR_HANDSHAKE"},
    NamedBit{kSpdmCapPubKeyId, "PUB_KEY_ID"},
    NamedBit{kSpdmCapChunk, "CHUNK"},
    NamedBit{kSpdmCapAliasCert, "ALIAS_CERT"},
    NamedBit{kSpdmCapSetCert, "SET_CERT"},
    NamedBit{kSpdmCapCsr, "CSR"},
    NamedBit{kSpdmCapCertInstallReset, "CERT_RESET"},
    NamedBit{kSpdmCapEndpointInfoNoSig, "EP_INFO_NO_SIG"},
    NamedBit{kSpdmCapEndpointInfoSig, "EP_INFO_SIG"},
    NamedBit{kSpdmCapMel, "MEL"},
    NamedBit{kSpdmCapEvent, "EVENT"},
    NamedBit{kSpdmCapMultiKeyOnly, "MULTI_KEY"},
    NamedBit{kSpdmCapMultiKeyNegotiated, "MULTI_KEY_NEG"},
    NamedBit{kSpdmCapGetKeyPairInfo, "GET_KEY_PAIR"},
    NamedBit{kSpdmCapSetKeyPairInfo, "SET_KEY_PAIR"},
    NamedBit{kSpdmCapSetKeyPairReset, "KEY_PAIR_RESET"},
    NamedBit{kSpdmCapLargeResp, "LARGE_RESP"},
};

/// The same of ExtFlags.
inline constexpr std::array kSpdmExtendedCapNames{
    NamedBit{kSpdmExtendedCapSlotManagement, "SLOT_MGMT"},
};

}  // namespace teeio::wire
