// What a device has proved about itself, as the VMM brings it.
#pragma once

#include <cstdint>

#include "sha384.h"

// Evidence in the guest's own memory. The layout is teeio's (src/spdm/channel.h,
// encode_evidence()): sizes of chain, transcript and signature, the nonce, and the
// three. Nothing of it is believed before firmware says that its digest is that of
// the device on the stream.
//
// The TDX module has checked that the signatures hold; whose root it is, only the owner
// knows. What is left to a guest with a library: other algorithms than P-384 with SHA-384,
// path lengths, dates (docs/attestation.md has the whole list).
class Evidence {
 public:
  Evidence(const unsigned char* bytes, std::uint64_t size) : bytes_(bytes), size_(size) {}

  // Its parts fill it, no more and no less.
  bool well_formed() const;
  // The device signed measurements for this nonce, and no older one.
  bool is_fresh(const unsigned char (&nonce)[32]) const;
  // The chain's root hash is that of its first certificate.
  bool names_its_root() const;
  // The chain's first certificate is this one of the owner's, by its digest.
  bool begins_with(const sha384::Digest& root) const;
  // Each certificate is signed by the one before it, and the transcript by the last one's
  // key. Three verifications: a guest without a fast multiplier feels them.
  bool is_signed() const;
  // The signed measurements have the digest of the firmware that the owner expects.
  bool has_measurement(const sha384::Digest& reference) const;

  sha384::Digest digest() const { return sha384::of(bytes_, size_); }

 private:
  static constexpr std::uint64_t kHeader = 48;
  std::uint64_t word(std::uint64_t at) const;
  std::uint64_t chain_size() const { return word(0); }
  std::uint64_t transcript_size() const { return word(4); }
  const unsigned char* chain() const { return bytes_ + kHeader; }
  const unsigned char* transcript() const { return chain() + chain_size(); }
  const unsigned char* signature() const { return transcript() + transcript_size(); }
  std::uint64_t signature_size() const { return word(8); }
  bool first_certificate(const unsigned char*& at, std::uint64_t& size) const;
  bool signed_digest(sha384::Digest& digest) const;
  bool transcript_has(const unsigned char* what, std::uint64_t size) const;

  const unsigned char* bytes_;
  std::uint64_t size_;
};
