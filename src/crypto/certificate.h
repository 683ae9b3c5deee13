#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "crypto/plain_certificate.h"

namespace teeio::crypto {

/// An X.509 certificate, parsed once; copies share it.
///
/// Locking: none needed; immutable.
class Certificate {
 public:
  /// The most bytes of one certificate: what a length of two octets can say.
  static constexpr std::size_t kMaxSize = 65'535;

  /// Precisely one certificate. Errors: EINVAL when `der` is none, is too large, has
  /// bytes after it, or holds a key that cannot be read; EOPNOTSUPP for a key of
  /// a type that KeyType does not have.
  static Result<Certificate> parse(ByteView der);
  /// The first certificate of PEM text. Errors: as parse().
  static Result<Certificate> from_pem(std::string_view text);

  [[nodiscard]] ByteView der() const { return parsed_->der; }
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] const PublicKey& public_key() const { return parsed_->key; }
  /// Subject and issuer are one name.
  [[nodiscard]] bool is_self_issued() const { return parsed_->self_issued; }
  [[nodiscard]] bool is_ca() const { return parsed_->ca; }  ///< basic constraints say so
  /// id-DMTF-hardware-identity is in the SPDM extension (DSP0274 1.2, 10.8.2).
  [[nodiscard]] bool is_hardware_identity() const { return parsed_->hardware_identity; }
  [[nodiscard]] bool is_mutable() const { return parsed_->mutable_certificate; }
  /// One line, as RFC 2253 has it.
  [[nodiscard]] std::string subject() const;
  /// As OpenSSL reads it: made on the spot where the certificate is plain, which OpenSSL was
  /// not asked about so far. Null: OpenSSL does not take what read_plain() took.
  [[nodiscard]] detail::Handle<x509_st> handle() const;
  /// What was read without OpenSSL; null where that was not enough.
  [[nodiscard]] const detail::PlainCertificate* plain() const {
    return parsed_->plain ? &*parsed_->plain : nullptr;
  }

  friend bool operator==(const Certificate& a, const Certificate& b) {
    return std::ranges::equal(a.der(), b.der());
  }

 private:
  struct Parsed {
    detail::Handle<x509_st> handle;  ///< null when it is plain
    Bytes der;
    std::optional<detail::PlainCertificate> plain;  ///< views into `der`
    PublicKey key;
    bool self_issued = false;
    bool ca = false;
    bool hardware_identity = false;
    bool mutable_certificate = false;
  };
  explicit Certificate(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  static std::optional<Certificate> parse_plain(ByteView der);

  std::shared_ptr<const Parsed> parsed_;
};

/// The roots that a verifier trusts, prepared once.
///
/// Locking: none needed after construction.
class TrustAnchors {
 public:
  explicit TrustAnchors(std::span<const Certificate> roots);
  [[nodiscard]] x509_store_st* handle() const { return store_.get(); }
  [[nodiscard]] std::span<const Certificate> certificates() const { return roots_; }

 private:
  std::vector<Certificate> roots_;
  detail::Handle<x509_store_st> store_;
};

/// A device's certificates from the root (or the first below it) to the leaf.
///
/// Locking: none needed; immutable.
class CertificateChain {
 public:
  /// Limits on what a peer sends: a chain of real devices has three to five.
  static constexpr std::size_t kMaxCertificates = 16;

  /// Certificates one after the other, as in the SPDM chain format. Errors:
  /// EINVAL when there is none or one does not parse; E2BIG for more than
  /// kMaxCertificates. `known`: certificates that need no second parsing when they
  /// come again, byte for byte, such as the verifier's roots.
  static Result<CertificateChain> parse(ByteView certificates,
                                        std::span<const Certificate> known = {});
  /// The certificates of PEM text, in its order. Errors: as parse().
  static Result<CertificateChain> from_pem(std::string_view text);
  /// Precondition: not empty.
  static CertificateChain of(std::vector<Certificate> certificates);

  /// Each is by the one before it, up to one of `anchors`, which need not be in the
  /// chain: OpenSSL's path validation (signatures of at least 112 bits' strength,
  /// basic constraints, path lengths, key usage, critical extensions), and what
  /// DSP0274 ("Leaf certificate") wants of the leaf: X.509 version 3, a serial number,
  /// and where key usage is present digitalSignature. `unix_time`: when validity is
  /// judged; none: it is not, since a verifier may have no clock. Chains of plain
  /// certificates whose first is an anchor itself are judged without OpenSSL's path
  /// validation, by the same rules and stricter, unless validity is to be judged.
  /// Errors: EACCES when the chain does not end in an anchor, a signature is wrong
  /// or an issuer may not issue; ETIMEDOUT when it is not valid at that time; EINVAL
  /// when the leaf lacks what it must have.
  [[nodiscard]] Result<void> verify(const TrustAnchors& anchors,
                                    std::optional<std::int64_t> unix_time = {}) const;

  [[nodiscard]] const Certificate& leaf() const { return certificates_.back(); }
  [[nodiscard]] const Certificate& first() const { return certificates_.front(); }
  [[nodiscard]] std::span<const Certificate> certificates() const { return certificates_; }
  /// The certificates one after the other.
  [[nodiscard]] Bytes der() const;
  [[nodiscard]] std::string pem() const;

 private:
  explicit CertificateChain(std::vector<Certificate> certificates)
      : certificates_(std::move(certificates)) {}

  std::vector<Certificate> certificates_;
};

/// DSP0274, "Certificate chain format": length, reserved, hash of the root, certificates.
struct SpdmCertificateChain {
  Digest root_hash;
  CertificateChain chain;

  /// Errors: EINVAL when the length is not the blob's, a certificate does not
  /// parse, or the first certificate is a root of another hash; E2BIG as
  /// CertificateChain::parse().
  static Result<SpdmCertificateChain> parse(ByteView blob, HashAlgorithm hash,
                                            std::span<const Certificate> known = {});
};
/// The blob. Precondition: chain.first() is the root itself.
[[nodiscard]] Bytes encode_spdm_chain(const CertificateChain& chain, HashAlgorithm hash);

}  // namespace teeio::crypto
