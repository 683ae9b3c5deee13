#pragma once

#include <string>
#include <vector>

#include "cli/evidence_files.h"
#include "evidence/judge.h"

// What a guest proves of itself, by `teeio evidence`.
namespace teeio::cli {

/// What a guest's evidence is shown and judged with.
struct GuestEvidence {
  Bytes file;
  std::string extract;           ///< a folder; empty: none
  std::vector<FileOption> kept;  ///< nothing is extracted over these
  bool json = false;
};

/// It is a CCA token or an SNP report, whatever else is wrong with it.
[[nodiscard]] bool is_guest_evidence(ByteView file);
/// Its keys are vouched for by certificates. Precondition: is_guest_evidence().
[[nodiscard]] bool has_certificates(ByteView file);
/// Of what is no evidence at all: in what it falls short of a guest's; empty: in everything.
[[nodiscard]] std::string why_no_guest_evidence(ByteView file);
/// Bytes of the value that such evidence is asked for with.
[[nodiscard]] std::size_t guest_nonce_size();

/// Exit status, as `teeio evidence show`: 2 when nothing of it can be read, which is shown.
int show_guest_evidence(const GuestEvidence& given);
/// Exit status, as `teeio evidence verify`; of a wrong use 125: what `files` names is for the
/// other kind.
int verify_guest_evidence(GuestEvidence given, const PolicyFiles& files,
                          const evidence::Policy& policy, evidence::Circumstances now);
/// The public key of the platform that CCA machines here model, PEM.
int print_cca_key();

}  // namespace teeio::cli
