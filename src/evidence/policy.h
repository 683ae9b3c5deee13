#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/certificate.h"
#include "evidence/token_policy.h"
#include "wire/spdm_measurements.h"

namespace teeio::evidence {

/// A DiceTcbInfo that some certificate of the chain must have: every field that is given
/// is in one of them.
struct WantedTcb {
  std::optional<std::string> vendor;
  std::optional<std::string> model;
  std::optional<std::string> version;
  std::optional<std::uint64_t> layer;
  std::optional<std::uint64_t> least_svn;
  std::vector<Bytes> fwids;         ///< any one of these digests
  std::uint32_t refused_flags = 0;  ///< OperationalFlags that must not be set
};

/// A measurement block that must be there.
struct WantedBlock {
  std::uint8_t index = 1;
  std::optional<wire::SpdmMeasurementType> type;
  std::vector<Bytes> values;               ///< any one of these, digest or raw
  std::optional<std::uint64_t> least_svn;  ///< of a security version number
};

/// A range that the interface report must have.
struct WantedRange {
  std::uint16_t id = 0;
  std::optional<std::uint32_t> pages;
};

/// What a relying party wants of a device. What is not said has the strict default.
/// docs/attestation.md has each key.
struct Policy {
  // [chain]
  std::vector<std::string> root_files;     ///< PEM; relative to the policy's folder
  std::vector<crypto::Certificate> roots;  ///< what the caller read from them
  bool judge_validity = true;
  std::vector<Bytes> leaf_keys;  ///< SHA-256 of SubjectPublicKeyInfo; empty: any
  std::optional<std::string> device_info;
  std::optional<Bytes> ueid;
  std::vector<WantedTcb> tcb;

  // [spdm]
  std::vector<std::uint8_t> versions = {0x12, 0x13, 0x14};
  bool allow_downgrade = false;
  std::vector<std::string> hashes = {"SHA-384", "SHA-512", "SHA3-384", "SHA3-512"};
  std::vector<std::string> signatures;  ///< empty: any that is known here

  // [freshness]
  bool nonce_required = true;

  // [measurements]
  bool allow_debug = false;
  bool mode_required = false;  ///< a device that does not say its mode is refused
  bool allow_other_blocks = true;
  std::vector<WantedBlock> blocks;

  // [report]
  bool report_required = false;
  bool allow_non_tee_memory = false;
  bool no_update_after_lock = false;  ///< the device must say so
  std::vector<WantedRange> ranges;
  /// Whoever wants something of the report wants the report: it is not signed, and who brings
  /// the evidence can leave it out.
  [[nodiscard]] bool wants_report() const {
    return report_required || no_update_after_lock || !ranges.empty();
  }

  // [binding]
  bool binding_required = false;  ///< true where the policy has this table
  bool trust_digests_of_file = false;

  CcaPolicy cca;
  SnpPolicy snp;

  /// Errors: a sentence with line and key. `name` is the file's, for it.
  static std::expected<Policy, std::string> parse(std::string_view text, std::string_view name);
};

}  // namespace teeio::evidence
