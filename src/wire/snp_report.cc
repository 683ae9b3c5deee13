#include "wire/snp_report.h"

#include <algorithm>

namespace teeio::wire {
namespace {

constexpr std::uint32_t kFirstVersion = 2, kLastVersion = 5;
constexpr std::uint32_t kVersionWithCpu = 3;
constexpr std::uint32_t kEcdsaP384Sha384 = 1;
constexpr std::size_t kNumber = 48;       ///< of a signature's r and s
constexpr std::size_t kNumberField = 72;  ///< each, little-endian
constexpr std::uint8_t kTurinFamily = 0x1a;

// Places of what a reader looks at.
constexpr std::size_t kSvnAt = 0x04, kPolicyAt = 0x08, kVmplAt = 0x30, kAlgorithmAt = 0x34;
constexpr std::size_t kCurrentTcbAt = 0x38, kKeyInfoAt = 0x48, kReportDataAt = 0x50;
constexpr std::size_t kMeasurementAt = 0x90, kHostDataAt = 0xc0, kReportIdAt = 0x140;
constexpr std::size_t kFamilyIdAt = 0x10, kImageIdAt = 0x20, kIdKeyAt = 0xe0, kAuthorKeyAt = 0x110;
/// Of a guest without a migration agent.
constexpr auto kNoAgent = [] {
  std::array<std::byte, 32> ones{};
  ones.fill(std::byte{0xff});
  return ones;
}();
constexpr std::size_t kReportedTcbAt = 0x180, kCpuFamilyAt = 0x188, kChipIdAt = 0x1a0;
constexpr std::size_t kCommittedTcbAt = 0x1e0, kMinorAt = 0x1e9, kMajorAt = 0x1ea;
constexpr std::size_t kLaunchTcbAt = 0x1f0;

// Of the word at kKeyInfoAt.
constexpr std::uint32_t kAuthorKeyEnabled = 1U << 0U, kMaskChipKey = 1U << 1U;
constexpr unsigned kSigningKeyShift = 2;
constexpr std::uint32_t kSigningKeyMask = 7;

template <class Word>
Word word_at(ByteView report, std::size_t at) {
  return Reader(report.subspan(at)).le<Word>();
}

template <std::size_t size>
void copy_from(ByteView report, std::size_t at, std::array<std::byte, size>& into) {
  std::ranges::copy(report.subspan(at, size), into.begin());
}

}  // namespace

SnpTcb SnpTcb::of(std::uint64_t version, Order order) {
  const auto byte = [version](unsigned at) {
    return static_cast<std::uint8_t>(version >> 8U * at);
  };
  if (order == Order::kTurin)
    return {.fmc = byte(0),
            .boot_loader = byte(1),
            .tee = byte(2),
            .snp = byte(3),
            .microcode = byte(7)};
  return {.boot_loader = byte(0), .tee = byte(1), .snp = byte(6), .microcode = byte(7)};
}

bool SnpReport::is_of_turin() const { return cpu_family == kTurinFamily; }

SnpTcb SnpReport::tcb(std::uint64_t version_word) const {
  return SnpTcb::of(version_word, is_of_turin() ? SnpTcb::Order::kTurin : SnpTcb::Order::kMilan);
}

Bytes SnpReport::encode() const {
  const auto key_info = (author_key_enabled ? kAuthorKeyEnabled : 0U) |
                        (mask_chip_key ? kMaskChipKey : 0U) |
                        static_cast<std::uint32_t>(signing_key) << kSigningKeyShift;
  Writer out;
  out.le(version).le(guest_svn).le(policy).bytes(family_id).bytes(image_id);
  out.le(vmpl).le(kEcdsaP384Sha384).le(current_tcb);
  out.le(std::uint64_t{0}).le(key_info).zeros(4);  // platform information: no bit is true
  out.bytes(report_data).bytes(measurement).bytes(host_data);
  out.bytes(id_key_digest).bytes(author_key_digest);
  out.bytes(report_id).bytes(agent_report_id.value_or(kNoAgent));
  out.le(reported_tcb).le(cpu_family).zeros(23).bytes(chip_id).le(committed_tcb);
  for (int n = 0; n < 2; ++n)  // current and committed version
    out.le(std::uint8_t{0})
        .le(static_cast<std::uint8_t>(abi_version))
        .le(static_cast<std::uint8_t>(abi_version >> 8U))
        .le(std::uint8_t{0});
  Bytes bytes = out.le(launch_tcb).take();
  bytes.resize(kSigned);
  return bytes;
}

bool SnpReport::is_one(ByteView bytes) {
  if (bytes.size() != kSize) return false;
  const auto version = word_at<std::uint32_t>(bytes, 0);
  return version >= kFirstVersion && version <= kLastVersion &&
         word_at<std::uint32_t>(bytes, kAlgorithmAt) == kEcdsaP384Sha384;
}

Result<SnpReport> SnpReport::decode(ByteView report) {
  if (!is_one(report)) return fail(Errno::kInval, "it is no attestation report of a known version");
  const auto key_info = word_at<std::uint32_t>(report, kKeyInfoAt);
  const auto signing_key = static_cast<SigningKey>(key_info >> kSigningKeyShift & kSigningKeyMask);
  if (signing_key != SigningKey::kVcek && signing_key != SigningKey::kVlek &&
      signing_key != SigningKey::kNone)
    return fail(Errno::kInval, "the kind of key that signed it is a reserved one");
  const auto minor = word_at<std::uint8_t>(report, kMinorAt);
  const auto major = word_at<std::uint8_t>(report, kMajorAt);
  SnpReport found{.version = word_at<std::uint32_t>(report, 0),
                  .guest_svn = word_at<std::uint32_t>(report, kSvnAt),
                  .policy = word_at<std::uint64_t>(report, kPolicyAt),
                  .vmpl = word_at<std::uint32_t>(report, kVmplAt),
                  .current_tcb = word_at<std::uint64_t>(report, kCurrentTcbAt),
                  .reported_tcb = word_at<std::uint64_t>(report, kReportedTcbAt),
                  .committed_tcb = word_at<std::uint64_t>(report, kCommittedTcbAt),
                  .launch_tcb = word_at<std::uint64_t>(report, kLaunchTcbAt),
                  .abi_version = static_cast<std::uint16_t>(unsigned{major} << 8U | minor),
                  .author_key_enabled = (key_info & kAuthorKeyEnabled) != 0,
                  .mask_chip_key = (key_info & kMaskChipKey) != 0,
                  .signing_key = signing_key};
  if (found.version >= kVersionWithCpu)
    found.cpu_family = word_at<std::uint8_t>(report, kCpuFamilyAt);
  copy_from(report, kReportDataAt, found.report_data);
  copy_from(report, kMeasurementAt, found.measurement);
  copy_from(report, kHostDataAt, found.host_data);
  copy_from(report, kFamilyIdAt, found.family_id);
  copy_from(report, kImageIdAt, found.image_id);
  copy_from(report, kIdKeyAt, found.id_key_digest);
  copy_from(report, kAuthorKeyAt, found.author_key_digest);
  copy_from(report, kReportIdAt, found.report_id);
  auto agent = kNoAgent;
  copy_from(report, kReportIdAt + agent.size(), agent);
  if (agent != kNoAgent) found.agent_report_id = agent;
  copy_from(report, kChipIdAt, found.chip_id);
  return found;
}

Bytes snp_signature_field(ByteView signature) {
  Writer out;
  for (const ByteView number : {signature.first(kNumber), signature.last(kNumber)})
    out.bytes(Bytes(number.rbegin(), number.rend())).zeros(kNumberField - kNumber);
  Bytes field = out.take();
  field.resize(SnpReport::kSize - SnpReport::kSigned);
  return field;
}

bool snp_signature_is_padded(ByteView report) {
  const ByteView field = report.subspan(SnpReport::kSigned);
  constexpr std::size_t kPad = kNumberField - kNumber;
  const auto zero = [](ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{0}; });
  };
  return zero(field.subspan(kNumber, kPad)) && zero(field.subspan(kNumberField + kNumber));
}

Bytes snp_signature(ByteView report) {
  const ByteView field = report.subspan(SnpReport::kSigned);
  Writer out;
  for (const std::size_t at : {std::size_t{0}, kNumberField}) {
    const ByteView number = field.subspan(at, kNumber);
    out.bytes(Bytes(number.rbegin(), number.rend()));
  }
  return out.take();
}

}  // namespace teeio::wire
