#include "serve/validate/own_keys.h"

#include "serve/identities.h"
#include "wire/spdm_capabilities.h"

namespace teeio::serve::validate {
namespace {

/// Made when one is first needed: ECDSA's in no time, RSA's in a second. What they are does not
/// matter: no responder can know them.
spdm::Credentials& requester_keys() {
  constexpr std::uint64_t kSeed = 0x7465'6569'6f00'0001;
  static Identities keys(kSeed);
  return keys;
}

}  // namespace

void authenticate(spdm::RequesterConfig& config, std::uint16_t req_base_asym) {
  config.credentials = &requester_keys();
  config.settings.flags = spdm::default_requester_flags() | wire::kSpdmCapCert |
                          wire::kSpdmCapChal | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
  config.settings.algorithms.req_base_asym = req_base_asym;
  config.settings.algorithms.req_pqc_asym = 0;
}

}  // namespace teeio::serve::validate
