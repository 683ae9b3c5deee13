#include "serve/validate/own_keys.h"

#include "serve/identities.h"
#include "spdm/suite.h"
#include "wire/spdm_capabilities.h"

namespace teeio::serve::validate {
namespace {

/// Made when one is first needed: ECDSA's in no time, RSA's in a second. What they are does not
/// matter: no responder can know them.
constexpr std::uint64_t kSeed = 0x7465'6569'6f00'0001;
spdm::Credentials& requester_keys() {
  static Identities keys(kSeed);
  return keys;
}

}  // namespace

GivenKey::GivenKey(crypto::PrivateKey key)
    : identity_{crypto::make_device_identity(kSeed).device.chain, std::move(key)} {}

const spdm::Credential* GivenKey::credential(std::uint8_t slot,
                                             crypto::SignatureAlgorithm algorithm,
                                             crypto::HashAlgorithm /*hash*/) {
  return slot == 0 && crypto::key_type(algorithm) == identity_.key.type() ? &credential_ : nullptr;
}

std::uint16_t GivenKey::req_base_asym() const {
  std::uint16_t bits = 0;
  for (unsigned bit = 1; bit < 0x10000; bit <<= 1U)
    if (const auto algorithm = spdm::signature_of(bit);
        algorithm && crypto::key_type(*algorithm) == identity_.key.type())
      bits |= static_cast<std::uint16_t>(bit);
  return bits;
}

void authenticate(spdm::RequesterConfig& config, GivenKey& key) {
  authenticate(config, key.req_base_asym());
  config.credentials = &key;
  config.peer_has_own_key = true;
}

void authenticate(spdm::RequesterConfig& config, std::uint16_t req_base_asym) {
  config.credentials = &requester_keys();
  config.settings.flags = spdm::default_requester_flags() | wire::kSpdmCapCert |
                          wire::kSpdmCapChal | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
  config.settings.algorithms.req_base_asym = req_base_asym;
  config.settings.algorithms.req_pqc_asym = 0;
}

}  // namespace teeio::serve::validate
