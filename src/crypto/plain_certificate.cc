#include "crypto/plain_certificate.h"

#include <algorithm>
#include <array>

#include "crypto/der.h"

namespace teeio::crypto::detail {
namespace {

template <std::size_t N>
struct Oid {
  std::array<unsigned char, N> octets;
  [[nodiscard]] bool is(ByteView contents) const {
    return std::ranges::equal(std::as_bytes(std::span(octets)), contents);
  }
};
template <class... Octet>
constexpr Oid<sizeof...(Octet)> oid(Octet... octets) {
  return {{static_cast<unsigned char>(octets)...}};
}
// RFC 5480: id-ecPublicKey and the curves; RFC 5758: ecdsa-with-SHA…
constexpr auto kEcPublicKey = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
constexpr auto kP256 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);
constexpr auto kP384 = oid(0x2b, 0x81, 0x04, 0x00, 0x22);
constexpr auto kP521 = oid(0x2b, 0x81, 0x04, 0x00, 0x23);
constexpr auto kEcdsaSha256 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);
constexpr auto kEcdsaSha384 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
constexpr auto kEcdsaSha512 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04);
// RFC 5280, 4.2: id-ce.
constexpr auto kSubjectKeyId = oid(0x55, 0x1d, 0x0e);
constexpr auto kKeyUsage = oid(0x55, 0x1d, 0x0f);
constexpr auto kAlternativeName = oid(0x55, 0x1d, 0x11);
constexpr auto kBasicConstraints = oid(0x55, 0x1d, 0x13);
constexpr auto kAuthorityKeyId = oid(0x55, 0x1d, 0x23);
constexpr auto kExtendedUsage = oid(0x55, 0x1d, 0x25);
// id-DMTF-spdm and below; TCG DICE.
constexpr auto kSpdmExtension = oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0x1c, 0x82, 0x12, 0x06);
constexpr auto kHardwareIdentity = oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0x1c, 0x82, 0x12, 0x02);
constexpr auto kMutableCertificate =
    oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0x1c, 0x82, 0x12, 0x05);
constexpr auto kDice = oid(0x67, 0x81, 0x05, 0x05, 0x04);

bool is_ascii(ByteView text) {
  return std::ranges::all_of(text, [](std::byte b) {
    const auto c = std::to_integer<unsigned>(b);
    return c >= 0x20 && c < 0x7f;
  });
}

/// A whole element of this tag and nothing behind it.
std::optional<ByteView> only(ByteView in, std::uint8_t tag) {
  DerReader reader(in);
  const auto element = reader.next(tag);
  if (!element || !reader.at_end()) return std::nullopt;
  return element->contents;
}

/// A name of attributes one to a set, in printable ASCII, and not empty.
bool is_plain_name(ByteView contents) {
  DerReader sets(contents);
  if (sets.at_end()) return false;
  while (const auto set = sets.next(kDerSet)) {
    const auto pair = only(set->contents, kDerSequence);
    if (!pair) return false;
    DerReader fields(*pair);
    const auto id = fields.next(kDerObjectId);
    const auto value = fields.next();
    if (!id || !value || !fields.at_end() || der_object_id(id->contents).empty()) return false;
    if (value->tag != kDerUtf8String && value->tag != kDerPrintableString) return false;
    if (value->contents.empty() || !is_ascii(value->contents)) return false;
  }
  return sets.ok() && sets.at_end();
}

bool is_time(const std::optional<DerElement>& time) {
  constexpr std::size_t kUtc = 13;
  constexpr std::size_t kGeneralized = 15;
  if (!time || !is_ascii(time->contents) || time->contents.empty()) return false;
  if (time->contents.back() != std::byte{'Z'}) return false;
  return (time->tag == kDerUtcTime && time->contents.size() == kUtc) ||
         (time->tag == kDerGeneralizedTime && time->contents.size() == kGeneralized);
}
bool is_validity(ByteView contents) {
  DerReader times(contents);
  return is_time(times.next()) && is_time(times.next()) && times.at_end();
}

std::optional<HashAlgorithm> signature_hash(ByteView algorithm) {
  const auto id = only(algorithm, kDerObjectId);  // RFC 5758, 3.2: no parameters
  if (!id) return std::nullopt;
  if (kEcdsaSha256.is(*id)) return HashAlgorithm::kSha256;
  if (kEcdsaSha384.is(*id)) return HashAlgorithm::kSha384;
  if (kEcdsaSha512.is(*id)) return HashAlgorithm::kSha512;
  return std::nullopt;
}

std::optional<KeyExchangeGroup> curve_of(ByteView algorithm) {
  DerReader fields(algorithm);
  const auto id = fields.next(kDerObjectId);
  const auto curve = fields.next(kDerObjectId);
  if (!id || !curve || !fields.at_end() || !kEcPublicKey.is(id->contents)) return std::nullopt;
  if (kP256.is(curve->contents)) return KeyExchangeGroup::kP256;
  if (kP384.is(curve->contents)) return KeyExchangeGroup::kP384;
  if (kP521.is(curve->contents)) return KeyExchangeGroup::kP521;
  return std::nullopt;
}

/// A BIT STRING of whole octets.
std::optional<ByteView> whole_octets(const std::optional<DerElement>& bits) {
  if (!bits || bits->contents.empty() || bits->contents[0] != std::byte{0}) return std::nullopt;
  return bits->contents.subspan(1);
}

bool read_key(ByteView contents, PlainCertificate& out) {
  DerReader fields(contents);
  const auto algorithm = fields.next(kDerSequence);
  const auto key = whole_octets(fields.next(kDerBitString));
  if (!algorithm || !key || !fields.at_end()) return false;
  const auto curve = curve_of(algorithm->contents);
  if (!curve || key->empty() || key->front() != std::byte{4}) return false;
  out.curve = *curve;
  out.point = key->subspan(1);
  return out.point.size() == exchange_data_size(*curve);
}

bool read_basic_constraints(ByteView value, PlainCertificate& out) {
  const auto contents = only(value, kDerSequence);
  if (!contents) return false;
  DerReader fields(*contents);
  if (const auto ca = fields.next(kDerBoolean)) {
    if (ca->contents.size() != 1 || ca->contents[0] != std::byte{0xff}) return false;
    out.is_ca = true;
  }
  if (const auto length = fields.next(kDerInteger)) {
    out.path_length = der_unsigned(length->contents);
    if (!out.path_length || !out.is_ca) return false;
  }
  return fields.at_end();
}

bool read_key_usage(ByteView value, PlainCertificate& out) {
  const auto bits = only(value, kDerBitString);
  if (!bits || bits->size() < 2 || bits->size() > 3) return false;
  const auto unused = std::to_integer<unsigned>((*bits)[0]);
  if (unused > 7) return false;
  unsigned usage = 0;
  for (std::size_t i = 0; i < 8 * (bits->size() - 1); ++i)
    if ((std::to_integer<unsigned>((*bits)[1 + i / 8]) >> (7 - i % 8) & 1U) != 0) usage |= 1U << i;
  if (usage == 0) return false;
  out.key_usage = static_cast<std::uint16_t>(usage);
  return true;
}

bool read_authority(ByteView value, PlainCertificate& out) {
  const auto contents = only(value, kDerSequence);
  const auto id = contents ? only(*contents, kDerContext) : std::nullopt;
  if (!id || id->empty()) return false;
  out.authority_key_id = *id;
  return true;
}

bool is_usage_list(ByteView value) {
  const auto contents = only(value, kDerSequence);
  if (!contents || contents->empty()) return false;
  DerReader ids(*contents);
  while (const auto id = ids.next(kDerObjectId))
    if (der_object_id(id->contents).empty()) return false;
  return ids.ok() && ids.at_end();
}

/// Alternative names that are all otherName with one text.
bool is_plain_alternative(ByteView value) {
  const auto contents = only(value, kDerSequence);
  if (!contents || contents->empty()) return false;
  DerReader names(*contents);
  while (const auto name = names.next(kDerContextConstructed)) {
    DerReader fields(name->contents);
    const auto id = fields.next(kDerObjectId);
    const auto text = fields.next(kDerContextConstructed);
    if (!id || !text || !fields.at_end() || der_object_id(id->contents).empty()) return false;
    const auto words = only(text->contents, kDerUtf8String);
    if (!words || !is_ascii(*words)) return false;
  }
  return names.ok() && names.at_end();
}

/// As certificate.cc reads it: what is of another form counts as absent.
void read_spdm_extension(ByteView value, PlainCertificate& out) {
  const auto contents = only(value, kDerSequence);
  if (!contents) return;
  DerReader entries(*contents);
  while (const auto entry = entries.next(kDerSequence)) {
    const auto id = DerReader(entry->contents).next(kDerObjectId);
    if (!id) continue;
    if (kHardwareIdentity.is(id->contents)) out.hardware_identity = true;
    if (kMutableCertificate.is(id->contents)) out.is_mutable = true;
  }
}

enum Seen : std::uint8_t {
  kNone = 0,
  kSeenBasic = 1,
  kSeenUsage = 2,
  kSeenExtended = 4,
  kSeenSubjectId = 8,
  kSeenAuthority = 16,
  kSeenNames = 32,
  kSeenSpdm = 64
};

bool is_below(ByteView id, ByteView root) {
  return id.size() > root.size() && std::ranges::equal(id.first(root.size()), root);
}

/// One extension. false: it is not plain. `seen`: which came; none may come twice.
bool read_extension(ByteView id, bool critical, ByteView value, unsigned& seen,
                    PlainCertificate& out) {
  const auto first = [&](Seen which) {
    const bool again = (seen & which) != 0;
    seen |= which;
    return !again;
  };
  if (kBasicConstraints.is(id)) return first(kSeenBasic) && read_basic_constraints(value, out);
  if (kKeyUsage.is(id)) return first(kSeenUsage) && read_key_usage(value, out);
  if (kExtendedUsage.is(id)) {
    out.extended_usage = value;
    return first(kSeenExtended) && is_usage_list(value);
  }
  if (kAlternativeName.is(id)) return first(kSeenNames) && is_plain_alternative(value);
  if (critical) return false;
  if (kSubjectKeyId.is(id)) {
    const auto key_id = only(value, kDerOctetString);
    out.subject_key_id = key_id.value_or(ByteView());
    return first(kSeenSubjectId) && !out.subject_key_id.empty();
  }
  if (kAuthorityKeyId.is(id)) return first(kSeenAuthority) && read_authority(value, out);
  if (kSpdmExtension.is(id)) {
    read_spdm_extension(value, out);
    return first(kSeenSpdm);
  }
  return is_below(id, std::as_bytes(std::span(kDice.octets)));
}

bool read_extensions(ByteView contents, PlainCertificate& out) {
  DerReader list(contents);
  unsigned seen = kNone;
  while (const auto one = list.next(kDerSequence)) {
    DerReader fields(one->contents);
    const auto id = fields.next(kDerObjectId);
    const auto critical = fields.next(kDerBoolean);
    const auto value = fields.next(kDerOctetString);
    if (!id || !value || !fields.at_end()) return false;
    if (critical && (critical->contents.size() != 1 || critical->contents[0] != std::byte{0xff}))
      return false;
    if (!read_extension(id->contents, critical.has_value(), value->contents, seen, out))
      return false;
  }
  return list.ok() && list.at_end();
}

bool is_serial(const std::optional<DerElement>& serial) {
  constexpr std::size_t kMost = 20;  // RFC 5280, 4.1.2.2
  if (!serial || serial->contents.empty() || serial->contents.size() > kMost) return false;
  if ((serial->contents[0] & std::byte{0x80}) != std::byte{0}) return false;
  return serial->contents.size() == 1 || serial->contents[0] != std::byte{0} ||
         (serial->contents[1] & std::byte{0x80}) != std::byte{0};
}

/// RFC 5280, 4.1: TBSCertificate of version 3, without unique identifiers.
bool read_signed_part(ByteView contents, ByteView algorithm, PlainCertificate& out) {
  constexpr std::array kVersion3 = {std::byte{2}, std::byte{1}, std::byte{2}};
  constexpr std::uint8_t kExtensions = kDerContextConstructed + 3;
  DerReader fields(contents);
  const auto version = fields.next(kDerContextConstructed);
  if (!version || !std::ranges::equal(version->contents, kVersion3)) return false;
  if (!is_serial(fields.next(kDerInteger))) return false;
  const auto inner = fields.next(kDerSequence);
  if (!inner || !std::ranges::equal(inner->contents, algorithm)) return false;
  const auto issuer = fields.next(kDerSequence);
  const auto validity = fields.next(kDerSequence);
  const auto subject = fields.next(kDerSequence);
  const auto key = fields.next(kDerSequence);
  const auto extensions = fields.next(kExtensions);
  if (!issuer || !validity || !subject || !key || !extensions || !fields.at_end()) return false;
  if (!is_plain_name(issuer->contents) || !is_plain_name(subject->contents)) return false;
  if (!is_validity(validity->contents) || !read_key(key->contents, out)) return false;
  out.issuer = issuer->whole;
  out.subject = subject->whole;
  const auto list = only(extensions->contents, kDerSequence);
  return list && !list->empty() && read_extensions(*list, out);
}

bool may_issue(const PlainCertificate& issuer, const PlainCertificate& subject) {
  if (!issuer.is_ca || !issuer.key_usage || (*issuer.key_usage & kUsageCertSign) == 0) return false;
  if (!std::ranges::equal(issuer.subject, subject.issuer)) return false;
  return subject.authority_key_id.empty() ||
         std::ranges::equal(subject.authority_key_id, issuer.subject_key_id);
}

}  // namespace

std::optional<PlainCertificate> read_plain(ByteView der) {
  const auto outer = only(der, kDerSequence);
  if (!outer) return std::nullopt;
  DerReader fields(*outer);
  const auto signed_part = fields.next(kDerSequence);
  const auto algorithm = fields.next(kDerSequence);
  const auto signature = whole_octets(fields.next(kDerBitString));
  if (!signed_part || !algorithm || !signature || !fields.at_end()) return std::nullopt;
  const auto hash = signature_hash(algorithm->contents);
  if (!hash) return std::nullopt;
  PlainCertificate out;
  if (!read_signed_part(signed_part->contents, algorithm->contents, out)) return std::nullopt;
  out.signed_part = signed_part->whole;
  out.hash = *hash;
  out.signature = *signature;
  return out;
}

bool is_plain_path(std::span<const PlainCertificate> chain) {
  if (chain.size() < 2) return false;
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    if (!may_issue(chain[i], chain[i + 1])) return false;
    // How many authorities stand below, the leaf not counted.
    const std::size_t below = chain.size() - 2 - i;
    if (chain[i].path_length && *chain[i].path_length < below) return false;
  }
  const PlainCertificate& leaf = chain.back();
  return !leaf.is_ca && (!leaf.key_usage || (*leaf.key_usage & kUsageDigitalSignature) != 0);
}

}  // namespace teeio::crypto::detail
