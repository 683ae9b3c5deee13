#include <algorithm>

#include "firmware/sev/attestation.h"

// The report's bytes, and the certificates that go with it.

namespace teeio::sev {
namespace {

constexpr std::uint32_t kReportVersion = 2;
constexpr std::uint32_t kEcdsaP384Sha384 = 1;
constexpr std::size_t kSignatureNumber = 48;       ///< of a signature's r and s
constexpr std::size_t kSignatureNumberField = 72;  ///< each, little-endian

// Places of what a reader looks at.
constexpr std::size_t kPolicyAt = 0x08, kVmplAt = 0x30, kAlgorithmAt = 0x34, kCurrentTcbAt = 0x38;
constexpr std::size_t kKeyInfoAt = 0x48, kReportDataAt = 0x50, kMeasurementAt = 0x90;
constexpr std::size_t kHostDataAt = 0xc0, kReportIdAt = 0x140, kReportedTcbAt = 0x180;
constexpr std::size_t kChipIdAt = 0x1a0, kCommittedTcbAt = 0x1e0, kLaunchTcbAt = 0x1f0;

constexpr std::uint32_t kMaskChipKey = 1U << 1U;  // of the word at kKeyInfoAt
constexpr unsigned kSigningKeyShift = 2;
constexpr std::uint32_t kSigningKeyMask = 7;

Bytes big_endian_number(ByteView field) {
  const ByteView low = field.first(kSignatureNumber);
  return Bytes(low.rbegin(), low.rend());
}

template <class Word>
Word word_at(ByteView report, std::size_t at) {
  return Reader(report.subspan(at)).le<Word>();
}

template <std::size_t size>
void copy_from(ByteView report, std::size_t at, std::array<std::byte, size>& into) {
  std::ranges::copy(report.subspan(at, size), into.begin());
}

}  // namespace

Bytes AttestationReport::encode() const {
  const auto key_info = (mask_chip_key ? kMaskChipKey : 0U) |
                        static_cast<std::uint32_t>(signing_key) << kSigningKeyShift;
  Writer out;
  out.le(kReportVersion).le(std::uint32_t{0}).le(policy).zeros(32);  // SVN; family and image
  out.le(vmpl).le(kEcdsaP384Sha384).le(current_tcb);
  out.le(std::uint64_t{0}).le(key_info).zeros(4);  // platform information: no bit is true
  out.bytes(report_data).bytes(measurement).bytes(host_data).zeros(96);  // keys of an ID block
  out.bytes(report_id);
  for (int n = 0; n < 32; ++n) out.le(std::uint8_t{0xff});  // REPORT_ID_MA: no migration agent
  out.le(reported_tcb).zeros(24).bytes(chip_id).le(committed_tcb);
  for (int n = 0; n < 2; ++n)  // current and committed version
    out.le(std::uint8_t{0})
        .le(static_cast<std::uint8_t>(kAbiVersion))
        .le(static_cast<std::uint8_t>(kAbiVersion >> 8U))
        .le(std::uint8_t{0});
  Bytes bytes = out.le(launch_tcb).take();
  bytes.resize(kSigned);
  return bytes;
}

Result<AttestationReport> AttestationReport::decode(ByteView report) {
  if (report.size() != kSize || word_at<std::uint32_t>(report, 0) != kReportVersion ||
      word_at<std::uint32_t>(report, kAlgorithmAt) != kEcdsaP384Sha384)
    return fail(Errno::kInval, "it is no attestation report of a known version");
  const auto key_info = word_at<std::uint32_t>(report, kKeyInfoAt);
  AttestationReport found{
      .policy = word_at<std::uint64_t>(report, kPolicyAt),
      .vmpl = word_at<std::uint32_t>(report, kVmplAt),
      .current_tcb = word_at<std::uint64_t>(report, kCurrentTcbAt),
      .reported_tcb = word_at<std::uint64_t>(report, kReportedTcbAt),
      .committed_tcb = word_at<std::uint64_t>(report, kCommittedTcbAt),
      .launch_tcb = word_at<std::uint64_t>(report, kLaunchTcbAt),
      .mask_chip_key = (key_info & kMaskChipKey) != 0,
      .signing_key = static_cast<SigningKey>(key_info >> kSigningKeyShift & kSigningKeyMask)};
  copy_from(report, kReportDataAt, found.report_data);
  copy_from(report, kMeasurementAt, found.measurement);
  copy_from(report, kHostDataAt, found.host_data);
  copy_from(report, kReportIdAt, found.report_id);
  copy_from(report, kChipIdAt, found.chip_id);
  return found;
}

Result<AttestationReport> AttestationReport::verify(ByteView report,
                                                    const crypto::PublicKey& vcek) {
  TEEIO_ASSIGN(const AttestationReport found, decode(report));
  const ByteView numbers = report.subspan(kSigned);
  const Bytes signature =
      Writer()
          .bytes(big_endian_number(numbers.first(kSignatureNumberField)))
          .bytes(big_endian_number(numbers.subspan(kSignatureNumberField, kSignatureNumberField)))
          .take();
  TEEIO_TRY(vcek.verify(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                        report.first(kSigned), signature));
  return found;
}

Bytes certificate_table(const crypto::CertificateChain& endorsement) {
  using Guid = std::array<std::uint8_t, 16>;
  static constexpr Guid kArk = {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52,
                                0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae};
  static constexpr Guid kAsk = {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4,
                                0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82};
  static constexpr Guid kVcek = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
  static constexpr Guid kGuids[] = {kArk, kAsk, kVcek};
  constexpr std::size_t kEntry = 24;  // GUID, offset, length
  const auto certificates = endorsement.certificates();
  Writer table;
  std::size_t offset = kEntry * (std::size(kGuids) + 1);
  for (std::size_t n = 0; n < std::size(kGuids); ++n) {
    const std::size_t size = certificates[n].der().size();
    table.bytes(std::as_bytes(std::span(kGuids[n])));
    table.le(static_cast<std::uint32_t>(offset)).le(static_cast<std::uint32_t>(size));
    offset += size;
  }
  table.zeros(kEntry);
  for (std::size_t n = 0; n < std::size(kGuids); ++n) table.bytes(certificates[n].der());
  return table.take();
}

}  // namespace teeio::sev
