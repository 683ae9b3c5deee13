#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto/certificate.h"
#include "wire/cca_token.h"

// What a relying party wants of a guest's own evidence. What is not said has the strict
// default. docs/attestation.md has each key.
namespace teeio::evidence {

/// A software component that the platform token must have.
struct WantedComponent {
  std::string type;
  std::vector<Bytes> values;   ///< any one of these digests
  std::vector<Bytes> signers;  ///< likewise
};

/// [cca]
struct CcaPolicy {
  std::vector<std::string> key_files;            ///< PEM; relative to the policy's folder
  std::vector<crypto::PublicKey> platform_keys;  ///< what the caller read from them
  bool challenge_required = true;
  bool allow_model = false;  ///< a platform whose key everybody has
  std::vector<std::string> lifecycles = {"secured"};
  std::vector<Bytes> implementations;  ///< empty: any; likewise below
  std::vector<Bytes> instances;
  std::vector<WantedComponent> components;
  bool allow_other_components = true;
  // [cca.realm]
  std::vector<Bytes> initial;
  std::vector<Bytes> personalization;
  std::array<std::vector<Bytes>, wire::kCcaExtensible> extensible;
  bool private_mec = false;  ///< the realm's memory must have a key of its own
};

/// [snp]
struct SnpPolicy {
  std::vector<std::string> certificate_files;     ///< PEM; relative to the policy's folder
  std::vector<crypto::Certificate> certificates;  ///< of the report's key, and above it
  bool report_data_required = true;
  bool allow_debug = false;
  bool allow_migration = false;
  std::uint64_t most_vmpl = 0;
  std::vector<Bytes> measurements;
  std::vector<Bytes> host_data;
  std::vector<Bytes> chips;
  std::optional<std::uint64_t> least_guest_svn;
  // [snp.least_tcb]
  std::optional<std::uint64_t> fmc, boot_loader, tee, snp, microcode;
};

}  // namespace teeio::evidence
