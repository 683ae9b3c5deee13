#include "spdm/capability_rules.h"

#include <bit>

#include "wire/spdm_capabilities.h"

namespace teeio::spdm {
namespace {

using namespace wire;

bool has(std::uint32_t flags, std::uint32_t any_of) { return (flags & any_of) != 0; }
/// Both bits of a two-bit field: a reserved value everywhere.
bool both(std::uint32_t flags, std::uint32_t low, std::uint32_t high) {
  return has(flags, low) && has(flags, high);
}

constexpr std::uint32_t kProtection = kSpdmCapEncrypt | kSpdmCapMac;
constexpr std::uint32_t kAnyPsk = kSpdmCapPsk | kSpdmCapPskWithContext;

/// What both tables say of sessions (1.1).
bool session_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (has(flags, kSpdmCapKeyEx | kAnyPsk)) {
    if (!has(flags, kProtection)) return false;
  } else {
    std::uint32_t needs_session =
        kProtection | kSpdmCapHandshakeInTheClear | kSpdmCapHeartbeat | kSpdmCapKeyUpdate;
    if (version >= kSpdmVersion13) needs_session |= kSpdmCapEvent;
    if (has(flags, needs_session)) return false;
  }
  // A PSK's handshake cannot be in the clear.
  return has(flags, kSpdmCapKeyEx) || !has(flags, kSpdmCapHandshakeInTheClear);
}

/// What both tables say of keys.
bool key_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (both(flags, kSpdmCapCert, kSpdmCapPubKeyId)) return false;
  if (version < kSpdmVersion13) return true;
  if (both(flags, kSpdmCapEndpointInfoNoSig, kSpdmCapEndpointInfoSig)) return false;
  if (both(flags, kSpdmCapMultiKeyOnly, kSpdmCapMultiKeyNegotiated)) return false;
  const bool multi_key = has(flags, kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated);
  return !multi_key || has(flags, kSpdmCapCert);
}

}  // namespace

bool requester_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (version < kSpdmVersion11) return true;
  if (has(flags, kSpdmCapPskWithContext)) return false;  // the requester's field has one value
  if (!session_flags_agree(flags, version) || !key_flags_agree(flags, version)) return false;
  const bool signed_info = version >= kSpdmVersion13 && has(flags, kSpdmCapEndpointInfoSig);
  const bool uses_key = has(flags, kSpdmCapChal | kSpdmCapKeyEx) || signed_info;
  if (has(flags, kSpdmCapCert | kSpdmCapPubKeyId)) {
    if (!uses_key) return false;
  } else if (has(flags, kSpdmCapChal | kSpdmCapMutAuth) || signed_info) {
    return false;
  }
  if (has(flags, kSpdmCapMutAuth)) {
    if (!has(flags, kSpdmCapKeyEx | kSpdmCapChal)) return false;
    if (version == kSpdmVersion11 && !has(flags, kSpdmCapEncap)) return false;
  }
  return true;
}

bool responder_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (both(flags, kSpdmCapMeasNoSig, kSpdmCapMeasSig)) return false;
  if (has(flags, kSpdmCapMeasFresh) && !has(flags, kSpdmCapMeasNoSig | kSpdmCapMeasSig))
    return false;
  if (version < kSpdmVersion11) return true;
  if (both(flags, kSpdmCapPsk, kSpdmCapPskWithContext)) return false;
  if (!session_flags_agree(flags, version) || !key_flags_agree(flags, version)) return false;
  const bool has_key = has(flags, kSpdmCapCert | kSpdmCapPubKeyId);
  if (!has_key && has(flags, kSpdmCapChal | kSpdmCapKeyEx | kSpdmCapMeasSig | kSpdmCapMutAuth))
    return false;
  if (version >= kSpdmVersion12) {
    if (has(flags, kSpdmCapAliasCert | kSpdmCapSetCert | kSpdmCapCsr) && !has(flags, kSpdmCapCert))
      return false;
    if (has(flags, kSpdmCapCertInstallReset) && !has(flags, kSpdmCapSetCert | kSpdmCapCsr))
      return false;
  }
  return true;
}

bool sizes_agree(std::uint32_t data_transfer_size, std::uint32_t max_message_size,
                 std::uint32_t flags) {
  if (data_transfer_size < kSpdmMinDataTransferSize) return false;
  if (data_transfer_size > max_message_size) return false;
  return has(flags, kSpdmCapChunk) || data_transfer_size == max_message_size;
}

std::uint32_t offered_max_message_size(const Settings& settings, std::uint32_t flags) {
  return has(flags, kSpdmCapChunk) ? settings.max_message_size : settings.data_transfer_size;
}

std::uint32_t session_flags() {
  return kProtection | kAnyPsk | kSpdmCapKeyEx | kSpdmCapHeartbeat | kSpdmCapKeyUpdate |
         kSpdmCapHandshakeInTheClear | kSpdmCapEvent;
}

std::uint32_t choose_bit(std::uint32_t ours, std::uint32_t theirs) {
  return std::bit_floor(ours & theirs);
}

}  // namespace teeio::spdm
