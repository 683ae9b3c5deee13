#include "crypto/dice.h"

#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "crypto/der.h"
#include "crypto/dmtf_oids.h"

namespace teeio::crypto {
namespace {

struct NamedOid {
  std::string_view dotted;
  std::string_view name;
};
constexpr std::array kNames = {
    NamedOid{kOidDiceTcbInfo, "tcg-dice-TcbInfo"},
    NamedOid{"2.23.133.5.4.2", "tcg-dice-endorsement-manifest"},
    NamedOid{"2.23.133.5.4.3", "tcg-dice-endorsement-manifest-uri"},
    NamedOid{kOidDiceUeid, "tcg-dice-Ueid"},
    NamedOid{kOidDiceMultiTcbInfo, "tcg-dice-MultiTcbInfo"},
    NamedOid{"2.23.133.5.4.6", "tcg-dice-UCCS-evidence"},
    NamedOid{"2.23.133.5.4.7", "tcg-dice-manifest-evidence"},
    NamedOid{"2.23.133.5.4.8", "tcg-dice-MultiTcbInfoComp"},
    NamedOid{"2.23.133.5.4.100.6", "tcg-dice-kp-identityInit"},
    NamedOid{"2.23.133.5.4.100.7", "tcg-dice-kp-identityLoc"},
    NamedOid{"2.23.133.5.4.100.8", "tcg-dice-kp-attestInit"},
    NamedOid{"2.23.133.5.4.100.9", "tcg-dice-kp-attestLoc"},
    NamedOid{"2.23.133.5.4.100.10", "tcg-dice-kp-assertInit"},
    NamedOid{"2.23.133.5.4.100.11", "tcg-dice-kp-assertLoc"},
    NamedOid{"2.23.133.5.4.100.12", "tcg-dice-kp-eca"},
    NamedOid{kOidDeviceInfo, "id-DMTF-device-info"},
    NamedOid{kOidHardwareIdentity, "id-DMTF-hardware-identity"},
    NamedOid{kOidResponderAuth, "id-DMTF-eku-responder-auth"},
    NamedOid{kOidRequesterAuth, "id-DMTF-eku-requester-auth"},
    NamedOid{kOidMutableCertificate, "id-DMTF-mutable-certificate"},
    NamedOid{kOidSpdmExtension, "id-DMTF-SPDM-extension"},
    NamedOid{"2.16.840.1.101.3.4.2.1", "SHA-256"},
    NamedOid{"2.16.840.1.101.3.4.2.2", "SHA-384"},
    NamedOid{"2.16.840.1.101.3.4.2.3", "SHA-512"},
    NamedOid{"2.16.840.1.101.3.4.2.8", "SHA3-256"},
    NamedOid{"2.16.840.1.101.3.4.2.9", "SHA3-384"},
    NamedOid{"2.16.840.1.101.3.4.2.10", "SHA3-512"},
};
constexpr std::string_view kPurposes = "2.23.133.5.4.100.";
constexpr std::size_t kMostTcbInfos = 64;  ///< of one certificate: layers and their parts

std::string text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

/// A BIT STRING of at most 32 bits, its first bit as 1 << 0. X.690, 8.6: the first octet
/// says how many bits of the last are not used.
std::optional<std::uint32_t> flags_of(ByteView contents) {
  if (contents.empty() || contents.size() > 5) return std::nullopt;
  const auto unused = std::to_integer<unsigned>(contents[0]);
  if (unused > 7 || (contents.size() == 1 && unused != 0)) return std::nullopt;
  const std::size_t bits = 8 * (contents.size() - 1) - unused;
  std::uint32_t flags = 0;
  for (std::size_t i = 0; i < bits; ++i)
    if ((std::to_integer<unsigned>(contents[1 + i / 8]) >> (7 - i % 8) & 1U) != 0)
      flags |= std::uint32_t{1} << i;
  return flags;
}

bool read_fwids(ByteView list, std::vector<DiceFwid>& into) {
  DerReader fwids(list);
  while (const auto one = fwids.next(kDerSequence)) {
    DerReader fields(one->contents);
    const auto algorithm = fields.next(kDerObjectId);
    const auto digest = fields.next(kDerOctetString);
    if (!algorithm || !digest) return false;
    into.push_back({der_object_id(algorithm->contents), copy_of(digest->contents)});
  }
  return fwids.ok() && fwids.at_end();
}

/// One field, by the number of its context tag. false: it makes no sense.
bool read_field(const DerElement& field, DiceTcbInfo& info) {
  enum Number : std::uint8_t {
    kVendor,
    kModel,
    kVersion,
    kSvn,
    kLayer,
    kIndex,
    kFwids,
    kFlags,
    kVendorInfo,
    kType,
    kFlagsMask
  };
  const auto number = [&](std::optional<std::uint64_t>& into) {
    into = der_unsigned(field.contents);
    return into.has_value();
  };
  constexpr unsigned kNumberMask = 0x1f;
  switch (field.tag & kNumberMask) {
    case kVendor:
      info.vendor = text_of(field.contents);
      return true;
    case kModel:
      info.model = text_of(field.contents);
      return true;
    case kVersion:
      info.version = text_of(field.contents);
      return true;
    case kSvn:
      return number(info.svn);
    case kLayer:
      return number(info.layer);
    case kIndex:
      return number(info.index);
    case kFwids:
      return read_fwids(field.contents, info.fwids);
    case kFlags:
      info.flags = flags_of(field.contents);
      return info.flags.has_value();
    case kVendorInfo:
      info.vendor_info = copy_of(field.contents);
      return true;
    case kType:
      info.type = copy_of(field.contents);
      return true;
    case kFlagsMask:  // 1.2 has integrity registers behind it
      info.flags_mask = flags_of(field.contents);
      return info.flags_mask.has_value();
    default:
      return true;
  }
}

void read_tcb_infos(ByteView list, DiceClaims& claims) {
  DerReader infos(list);
  while (const auto one = infos.next()) {
    auto info = DiceTcbInfo::parse(one->whole);
    if (!info || claims.tcb.size() == kMostTcbInfos) {
      claims.problem = info ? "a certificate has too many DiceTcbInfos" : info.error().why;
      return;
    }
    claims.tcb.push_back(*std::move(info));
  }
  if (!infos.ok()) claims.problem = "MultiTcbInfo is cut short";
}

void read_extension(const std::string& id, ByteView value, DiceClaims& claims) {
  DerReader reader(value);
  if (id == kOidDiceTcbInfo) return read_tcb_infos(value, claims);
  const auto outer =
      id == kOidDiceUeid || id == kOidDiceMultiTcbInfo ? reader.next(kDerSequence) : std::nullopt;
  if (id == kOidDiceMultiTcbInfo) {
    if (!outer) claims.problem = "MultiTcbInfo is no SEQUENCE";
    if (outer) read_tcb_infos(outer->contents, claims);
  } else if (id == kOidDiceUeid) {
    const auto ueid = outer ? DerReader(outer->contents).next(kDerOctetString) : std::nullopt;
    if (!ueid) claims.problem = "Ueid has no OCTET STRING";
    if (ueid) claims.ueid = copy_of(ueid->contents);
  }
}

std::string dotted(const ASN1_OBJECT* object) {
  std::array<char, 128> text{};
  const int size = OBJ_obj2txt(text.data(), static_cast<int>(text.size()), object, /*no_name=*/1);
  return size > 0 && static_cast<std::size_t>(size) < text.size() ? std::string(text.data())
                                                                  : std::string();
}

struct FreeUsage {
  void operator()(EXTENDED_KEY_USAGE* p) const { EXTENDED_KEY_USAGE_free(p); }
};
struct FreeNames {
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
};
struct FreeBio {
  void operator()(BIO* p) const { BIO_free(p); }
};

std::string one_line(const X509_NAME* name) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(std::max(0L, size))};
}

std::string date_of(const ASN1_TIME* time) {
  std::tm when{};
  if (ASN1_TIME_to_tm(time, &when) != 1) return "unreadable";
  std::array<char, 24> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &when)};
}

std::string serial_of(X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  std::string text;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int i = 0; i < ASN1_STRING_length(serial); ++i) {
    const unsigned octet = ASN1_STRING_get0_data(serial)[i];
    text += kDigits[octet >> 4U];
    text += kDigits[octet & 0xfU];
  }
  return text;
}

/// DSP0274 1.2, "Subject alternative name": a UTF8String in an otherName.
std::string device_info_of(X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_OTHERNAME || dotted(name->d.otherName->type_id) != kOidDeviceInfo)
      continue;
    const ASN1_TYPE* const value = name->d.otherName->value;
    if (value->type != V_ASN1_UTF8STRING) continue;
    const ASN1_STRING* const text = value->value.utf8string;
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<std::size_t>(ASN1_STRING_length(text))};
  }
  return {};
}

}  // namespace

std::string_view attestation_oid_name(std::string_view dotted_id) {
  for (const NamedOid& one : kNames)
    if (one.dotted == dotted_id) return one.name;
  return {};
}

std::string_view dice_flag_name(unsigned bit) {
  static constexpr std::array<std::string_view, 9> kFlags = {
      "notConfigured",         "notSecure",          "recovery",     "debug", "notReplayProtected",
      "notIntegrityProtected", "notRuntimeMeasured", "notImmutable", "notTcb"};
  constexpr unsigned kFixedWidth = 31;
  if (bit == kFixedWidth) return "fixedWidth";
  return bit < kFlags.size() ? kFlags.at(bit) : std::string_view();
}

Result<DiceTcbInfo> DiceTcbInfo::parse(ByteView der) {
  DerReader reader(der);
  const auto outer = reader.next(kDerSequence);
  if (!outer || !reader.at_end()) return fail(Errno::kInval, "DiceTcbInfo is no SEQUENCE");
  DiceTcbInfo info;
  DerReader fields(outer->contents);
  while (const auto field = fields.next()) {
    if ((field->tag & 0xc0U) != kDerContext)
      return fail(Errno::kInval, "DiceTcbInfo has a field without a context tag");
    if (!read_field(*field, info)) return fail(Errno::kInval, "a DiceTcbInfo field makes no sense");
  }
  if (!fields.ok()) return fail(Errno::kInval, "DiceTcbInfo is cut short");
  return info;
}

DiceClaims dice_claims(const Certificate& certificate) {
  DiceClaims claims;
  const auto handle = certificate.handle();
  X509* const x = handle.get();
  if (x == nullptr) return claims;
  for (int i = 0; i < X509_get_ext_count(x); ++i) {
    X509_EXTENSION* const one = X509_get_ext(x, i);
    const ASN1_OCTET_STRING* const value = X509_EXTENSION_get_data(one);
    read_extension(dotted(X509_EXTENSION_get_object(one)),
                   std::as_bytes(std::span(ASN1_STRING_get0_data(value),
                                           static_cast<std::size_t>(ASN1_STRING_length(value)))),
                   claims);
  }
  const std::unique_ptr<EXTENDED_KEY_USAGE, FreeUsage> usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(x, NID_ext_key_usage, nullptr, nullptr)));
  for (int i = 0; usages != nullptr && i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    std::string id = dotted(sk_ASN1_OBJECT_value(usages.get(), i));
    if (id.starts_with(kPurposes)) claims.purposes.push_back(std::move(id));
  }
  return claims;
}

CertificateFacts certificate_facts(const Certificate& certificate) {
  const auto handle = certificate.handle();
  X509* const x = handle.get();
  if (x == nullptr) return {};
  CertificateFacts facts{.subject = one_line(X509_get_subject_name(x)),
                         .issuer = one_line(X509_get_issuer_name(x)),
                         .serial = serial_of(x),
                         .not_before = date_of(X509_get0_notBefore(x)),
                         .not_after = date_of(X509_get0_notAfter(x)),
                         .device_info = device_info_of(x),
                         .critical_unknown = {}};
  for (int i = 0; i < X509_get_ext_count(x); ++i) {
    X509_EXTENSION* const one = X509_get_ext(x, i);
    if (X509_EXTENSION_get_critical(one) != 0 && X509_supported_extension(one) == 0)
      facts.critical_unknown.push_back(dotted(X509_EXTENSION_get_object(one)));
  }
  return facts;
}

std::optional<Bytes> extension_value(const Certificate& certificate, std::string_view oid) {
  const auto handle = certificate.handle();
  X509* const x = handle.get();
  for (int i = 0; x != nullptr && i < X509_get_ext_count(x); ++i) {
    X509_EXTENSION* const one = X509_get_ext(x, i);
    if (dotted(X509_EXTENSION_get_object(one)) != oid) continue;
    const ASN1_OCTET_STRING* const value = X509_EXTENSION_get_data(one);
    const ByteView bytes = std::as_bytes(std::span(
        ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value))));
    return Bytes(bytes.begin(), bytes.end());
  }
  return std::nullopt;
}

}  // namespace teeio::crypto
