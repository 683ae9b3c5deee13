#include "wire/cca_token.h"

#include <algorithm>
#include <set>
#include <utility>

#include "wire/cbor.h"

namespace teeio::wire {
namespace {

// IANA's registry "CBOR Web Token Claims".
enum Claim : std::int64_t {
  kNonce = 10,
  kInstance = 256,
  kProfile = 265,
  kLifecycle = 2395,
  kImplementation = 2396,
  kComponents = 2399,
  kService = 2400,
  kConfig = 2401,
  kPlatformHash = 2402,
  kPersonalization = 44235,
  kRealmHash = 44236,
  kRealmKey = 44237,
  kInitial = 44238,
  kExtensible = 44239,
  kRealmKeyHash = 44240,
  kMecPolicy = 44243,
};
enum ComponentKey : std::int64_t {
  kComponentType = 1,
  kComponentValue = 2,
  kComponentVersion = 4,
  kComponentSigner = 5,
  kComponentHash = 6,
};
enum Part : std::int64_t { kPlatformToken = 44234, kRealmToken = 44241 };
constexpr std::uint64_t kCollection = 907, kOlderCollection = 399;
constexpr std::int64_t kEatCwt = 263;  ///< CoAP's content format
constexpr std::size_t kImplementationSize = 32;
constexpr std::size_t kMostComponents = 64;  ///< and no platform has as many

constexpr Error kNotClaims{Errno::kInval, "claims are not a map of CBOR"};
constexpr Error kTwice{Errno::kInval, "a claim comes twice"};

bool is_hash(ByteView bytes) {
  return bytes.size() == 32 || bytes.size() == 48 || bytes.size() == 64;
}

/// Keys that a map has and nobody reads.
struct Unread {
  std::size_t numbers = 0;
  std::size_t texts = 0;
  [[nodiscard]] std::size_t all() const { return numbers + texts; }
};

/// A map with integers for keys, each once: `read` takes the value of the keys that it
/// knows and says whether it does.
template <class Read>
Result<Unread> read_map(CborReader& in, Read read) {
  std::set<std::int64_t> seen;
  Unread unread;
  for (std::size_t left = in.map(); left > 0 && in.ok(); --left) {
    if (in.next() == CborMajor::kText) {
      in.skip();
      in.skip();
      ++unread.texts;
      continue;
    }
    const std::int64_t key = in.integer();
    if (!seen.insert(key).second) return std::unexpected(kTwice);
    if (read(key)) continue;
    in.skip();
    ++unread.numbers;
  }
  if (!in.ok()) return std::unexpected(kNotClaims);
  return unread;
}

/// A claim's value into its place; always true: the claim is one that is known.
bool take(CborReader& in, Bytes& into) {
  into = in.owned_bytes();
  return true;
}
bool take(CborReader& in, std::string& into) {
  into = in.text();
  return true;
}
template <class T>
bool take(CborReader& in, std::optional<T>& into) {
  return take(in, into.emplace());
}

Result<CcaComponent> read_component(CborReader& in) {
  CcaComponent out;
  TEEIO_TRY(read_map(in, [&](std::int64_t key) {
    switch (key) {
      case kComponentType:
        return take(in, out.type);
      case kComponentValue:
        return take(in, out.value);
      case kComponentVersion:
        return take(in, out.version);
      case kComponentSigner:
        return take(in, out.signer);
      case kComponentHash:
        return take(in, out.hash);
      default:
        return false;
    }
  }));
  if (!is_hash(out.value) || !is_hash(out.signer))
    return fail(Errno::kInval, "a software component lacks its digest or its signer");
  return out;
}

void write(Cbor& into, const CcaComponent& one) {
  into.map(2U + (one.type ? 1U : 0U) + (one.version ? 1U : 0U) + (one.hash ? 1U : 0U));
  if (one.type) into.integer(kComponentType).text(*one.type);
  into.integer(kComponentValue).bytes(one.value);
  if (one.version) into.integer(kComponentVersion).text(*one.version);
  into.integer(kComponentSigner).bytes(one.signer);
  if (one.hash) into.integer(kComponentHash).text(*one.hash);
}

/// Of the first thing that is wrong inside of a claim; read_map() sees only keys.
using Problem = std::optional<Error>;

/// A signed part's claims, to the end of its payload; gives how many nobody knows. `read` gets
/// the reader, a key, and where to put what is wrong with its value.
template <class Read>
Result<std::size_t> read_claims(ByteView payload, Error trailing, Read read) {
  CborReader in(payload);
  Problem problem;
  TEEIO_ASSIGN(const Unread unread,
               read_map(in, [&](std::int64_t key) { return !problem && read(in, key, problem); }));
  if (problem) return std::unexpected(*problem);
  if (!in.ended()) return std::unexpected(trailing);
  return unread.all();
}

void read_components(CborReader& in, std::vector<CcaComponent>& into, Problem& problem) {
  std::size_t count = in.array();
  if (count == 0 || count > kMostComponents) {
    problem = Error{Errno::kInval, "a platform has no software components, or too many"};
    return;
  }
  for (; count > 0 && in.ok() && !problem; --count) {
    auto one = read_component(in);
    if (!one)
      problem = one.error();
    else
      into.push_back(std::move(*one));
  }
}

void read_extensible(CborReader& in, CcaRealmClaims& into, Problem& problem) {
  if (in.array() != kCcaExtensible) {
    problem = Error{Errno::kInval, "a realm has not four extensible measurements"};
    return;
  }
  for (Bytes& one : into.extensible) one = in.owned_bytes();
}

Result<Bytes> read_part(CborReader& in) {
  if (in.next() == CborMajor::kBytes) return in.owned_bytes();  // of the older collection
  if (in.array() != 2 || in.integer() != kEatCwt)
    return fail(Errno::kInval, "a part of the collection is no EAT");
  return in.owned_bytes();
}

}  // namespace

std::string_view cca_lifecycle_name(std::uint64_t lifecycle) {
  // Each state has the low eight bits for itself.
  switch (lifecycle >> 8U) {
    case 0x00:
      return "unknown";
    case 0x10:
      return "assembly-and-test";
    case 0x20:
      return "rot-provisioning";
    case 0x30:
      return "secured";
    case 0x40:
      return "non-rot-debug";
    case 0x50:
      return "recoverable-rot-debug";
    case 0x60:
      return "decommissioned";
    default:
      return {};
  }
}

Bytes CcaPlatformClaims::encode() const {
  Cbor claims;
  claims.map(service ? 9 : 8).integer(kNonce).bytes(challenge);
  claims.integer(kInstance).bytes(instance);
  claims.integer(kProfile).text(profile);
  claims.integer(kLifecycle).integer(static_cast<std::int64_t>(lifecycle));
  claims.integer(kImplementation).bytes(implementation);
  claims.integer(kComponents).array(components.size());
  for (const CcaComponent& one : components) write(claims, one);
  if (service) claims.integer(kService).text(*service);
  claims.integer(kConfig).bytes(config);
  claims.integer(kPlatformHash).text(hash);
  return claims.take();
}

Result<CcaPlatformClaims> CcaPlatformClaims::decode(ByteView payload) {
  CcaPlatformClaims out;
  std::optional<Bytes> config;
  std::optional<std::int64_t> lifecycle;
  const auto read = [&](CborReader& in, std::int64_t key, Problem& problem) {
    switch (key) {
      case kNonce:
        return take(in, out.challenge);
      case kInstance:
        return take(in, out.instance);
      case kProfile:
        return take(in, out.profile);
      case kLifecycle:
        lifecycle = in.integer();
        return true;
      case kImplementation:
        return take(in, out.implementation);
      case kComponents:
        read_components(in, out.components, problem);
        return true;
      case kService:
        return take(in, out.service);
      case kConfig:
        return take(in, config);
      case kPlatformHash:
        return take(in, out.hash);
      default:
        return false;
    }
  };
  TEEIO_ASSIGN(out.unknown,
               read_claims(payload, {Errno::kInval, "bytes follow the platform's claims"}, read));
  if (!is_hash(out.challenge)) return fail(Errno::kInval, "a platform's challenge is no digest");
  if (out.instance.size() != kCcaInstanceSize || out.instance[0] != std::byte{1})
    return fail(Errno::kInval, "a platform's instance is no UEID of type RAND");
  if (out.implementation.size() != kImplementationSize)
    return fail(Errno::kInval, "a platform's implementation has not 32 bytes");
  if (!lifecycle || *lifecycle < 0 ||
      cca_lifecycle_name(static_cast<std::uint64_t>(*lifecycle)).empty())
    return fail(Errno::kInval, "a platform is in no lifecycle state");
  out.lifecycle = static_cast<std::uint64_t>(*lifecycle);
  if (out.profile.empty() || out.components.empty() || !config || out.hash.empty())
    return fail(Errno::kInval, "a platform's claims are not complete");
  out.config = std::move(*config);
  return out;
}

Bytes CcaRealmClaims::encode() const {
  const std::size_t optional = (profile ? 1U : 0U) + (instance ? 1U : 0U) + (private_mec ? 1U : 0U);
  Cbor claims;  // in TF-RMM's order: attest_app_realm_token_create()
  claims.map(7 + optional).integer(kNonce).bytes(challenge);
  if (instance) claims.integer(kInstance).bytes(*instance);
  claims.integer(kPersonalization).bytes(personalization);
  claims.integer(kRealmKey).bytes(public_key);
  claims.integer(kRealmHash).text(hash);
  claims.integer(kRealmKeyHash).text(public_key_hash);
  if (private_mec) claims.integer(kMecPolicy).integer(*private_mec ? 1 : 0);
  if (profile) claims.integer(kProfile).text(*profile);
  claims.integer(kInitial).bytes(initial);
  claims.integer(kExtensible).array(kCcaExtensible);
  for (const Bytes& one : extensible) claims.bytes(one);
  return claims.take();
}

Result<CcaRealmClaims> CcaRealmClaims::decode(ByteView payload) {
  CcaRealmClaims out;
  std::int64_t mec = 0;
  const auto read = [&](CborReader& in, std::int64_t key, Problem& problem) {
    switch (key) {
      case kNonce:
        return take(in, out.challenge);
      case kInstance:
        return take(in, out.instance);
      case kProfile:
        return take(in, out.profile);
      case kPersonalization:
        return take(in, out.personalization);
      case kRealmHash:
        return take(in, out.hash);
      case kRealmKey:
        return take(in, out.public_key);
      case kInitial:
        return take(in, out.initial);
      case kExtensible:
        read_extensible(in, out, problem);
        return true;
      case kRealmKeyHash:
        return take(in, out.public_key_hash);
      case kMecPolicy:
        mec = in.integer();
        out.private_mec = mec == 1;
        return true;
      default:
        return false;
    }
  };
  TEEIO_ASSIGN(out.unknown,
               read_claims(payload, {Errno::kInval, "bytes follow the realm's claims"}, read));
  if (out.challenge.size() != kCcaChallengeSize)
    return fail(Errno::kInval, "a realm's challenge has not 64 bytes");
  if (out.personalization.size() != kCcaPersonalizationSize)
    return fail(Errno::kInval, "a realm's personalization value has not 64 bytes");
  if (out.instance && out.instance->size() != kCcaInstanceSize)
    return fail(Errno::kInval, "a realm's instance is no UEID");
  const auto same_hash = [&](const Bytes& one) { return one.size() == out.initial.size(); };
  if (!is_hash(out.initial) || !std::ranges::all_of(out.extensible, same_hash))
    return fail(Errno::kInval, "a realm's measurements are not of one hash");
  if (mec != 0 && mec != 1) return fail(Errno::kInval, "a realm's MEC policy is unknown");
  if (out.public_key.empty() || out.hash.empty() || out.public_key_hash.empty())
    return fail(Errno::kInval, "a realm's claims are not complete");
  return out;
}

Bytes CcaToken::encode() const {
  Cbor token;
  token.tag(kCollection).map(platform ? 2 : 1);
  if (platform) token.integer(kPlatformToken).array(2).integer(kEatCwt).bytes(*platform);
  token.integer(kRealmToken).array(2).integer(kEatCwt).bytes(realm);
  return token.take();
}

bool CcaToken::is_one(ByteView bytes) {
  CborReader in(bytes);
  if (in.next() != CborMajor::kTag) return false;
  const std::uint64_t tag = in.tag();
  return in.ok() && (tag == kCollection || tag == kOlderCollection) && in.next() == CborMajor::kMap;
}

Result<CcaToken> CcaToken::decode(ByteView bytes) {
  if (!is_one(bytes)) return fail(Errno::kInval, "it is no CCA token: it lacks the tag");
  CborReader in(bytes);
  (void)in.tag();
  CcaToken out;
  Problem problem;
  // "__cmwc_t", the collection's type, is a text.
  const auto unread = read_map(in, [&](std::int64_t key) {
    if (problem || (key != kPlatformToken && key != kRealmToken)) return false;
    auto part = read_part(in);
    if (!part)
      problem = part.error();
    else if (key == kRealmToken)
      out.realm = std::move(*part);
    else
      out.platform = std::move(*part);
    return true;
  });
  if (problem) return std::unexpected(*problem);
  if (!unread) return fail(Errno::kInval, "a CCA token's collection cannot be read");
  if (unread->numbers != 0) return fail(Errno::kInval, "a CCA token has a part of another kind");
  if (!in.ended()) return fail(Errno::kInval, "bytes follow the CCA token");
  if (out.realm.empty()) return fail(Errno::kInval, "a CCA token has no realm token");
  return out;
}

}  // namespace teeio::wire
