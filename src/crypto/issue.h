#pragma once

#include <string>
#include <utility>
#include <vector>

#include "crypto/dmtf_oids.h"
#include "crypto/identity.h"

namespace teeio::crypto {

/// What a device's certificate has beyond what make_pki() gives it.
struct LeafExtras {
  std::string not_after = "99991231235959Z";   ///< GeneralizedTime
  std::string device_info = "teeio:device:1";  ///< id-DMTF-device-info
  /// Extended key usage, in OpenSSL's words.
  std::string purposes = std::string(kOidResponderAuth) + "," + kOidRequesterAuth;
  /// Extensions by dotted object identifier, none of them critical: the contents of
  /// their OCTET STRINGs.
  std::vector<std::pair<std::string, Bytes>> extensions;
};

/// make_pki() with such a certificate. Errors: its.
Result<Pki> make_pki(const PkiSpec& spec, const LeafExtras& extras);

/// Another device below the same authority. Errors: as make_pki().
Result<Identity> make_sibling(const Pki& pki, const PkiSpec& spec, const LeafExtras& extras);
/// Another certificate of that key.
Result<Identity> make_sibling(const Pki& pki, const PkiSpec& spec, const LeafExtras& extras,
                              PrivateKey key);

}  // namespace teeio::crypto
