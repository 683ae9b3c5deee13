#include "serve/knobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <utility>

#include "crypto/signature.h"
#include "spdm/capability_rules.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capability_names.h"
#include "wire/spdm_pqc.h"

namespace teeio::serve {
namespace {

using namespace wire;

/// What ResponderConfig has no part for, or `teeio serve` gives it none.
constexpr std::uint32_t kNobodyAnswers = kSpdmCapSetKeyPairReset | kSpdmCapCertInstallReset;

std::string all_capabilities() {
  std::vector<std::string_view> names;
  for (const NamedBit& bit : kSpdmCapNames)
    if ((bit.mask & kNobodyAnswers) == 0) names.push_back(bit.name);
  for (const NamedBit& bit : kSpdmExtendedCapNames) names.push_back(bit.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string names_of(std::uint32_t flags) {
  std::vector<std::string_view> names;
  for (const NamedBit& bit : kSpdmCapNames)
    if ((flags & bit.mask) == bit.mask) names.push_back(bit.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

bool agree(std::uint32_t flags) { return spdm::responder_flags_agree(flags, kSpdmVersion14); }

/// Of flags that do not agree: each of which alone, given up or added, would mend it; and where
/// more is wrong, some of them that do not agree among themselves.
std::string why_they_disagree(std::uint32_t flags) {
  std::uint32_t too_many = 0, missing = 0, core = flags;
  for (const NamedBit& bit : kSpdmCapNames) {
    if ((flags & bit.mask) != 0 && agree(flags & ~bit.mask)) too_many |= bit.mask;
    if ((flags & bit.mask) == 0 && (bit.mask & kNobodyAnswers) == 0 && agree(flags | bit.mask))
      missing |= bit.mask;
    if (!agree(core & ~bit.mask)) core &= ~bit.mask;
  }
  std::string text = "these capabilities do not go together: ";
  if (too_many == 0 && missing == 0)
    return text + names_of(core) + (std::has_single_bit(core) ? " needs others" : " among others");
  if (missing != 0) text += "they need " + names_of(missing);
  if (std::popcount(missing) > 1) text += " (one of these)";
  if (missing != 0 && too_many != 0) text += ", or to be without ";
  if (missing == 0) text += "leave out ";
  text += names_of(too_many);
  return text + (std::popcount(too_many) > 1 ? " (one of these)" : "");
}

/// A kind of algorithm: its names, and where its mask is.
struct AlgorithmKind {
  std::string_view (*name)(std::uint32_t);
  std::uint32_t all;
  std::uint32_t named = 0;
};

std::uint32_t bit_named(const AlgorithmKind& kind, std::string_view word) {
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U)
    if ((kind.all & bit) != 0 && kind.name(bit) == word) return bit;
  return 0;
}

template <class Kinds>
std::string all_algorithms(const Kinds& kinds) {
  std::vector<std::string_view> names;
  for (const AlgorithmKind& kind : kinds)
    for (std::uint32_t bit = 1; bit != 0; bit <<= 1U)
      if ((kind.all & bit) != 0) names.push_back(kind.name(bit));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::expected<std::vector<std::uint8_t>, std::string> parse_versions(
    const std::vector<std::string>& words) {
  std::vector<std::uint8_t> versions;
  for (const std::string& word : words) {
    const bool known =
        word.size() == 3 && word.starts_with("1.") && word[2] >= '0' && word[2] <= '4';
    if (!known)
      return std::unexpected(
          fmt::format("there is no SPDM version {}; there are 1.0 to 1.4", word));
    versions.push_back(static_cast<std::uint8_t>(kSpdmVersion10 + (word[2] - '0')));
  }
  std::ranges::sort(versions);
  const auto repeated = std::ranges::unique(versions);
  versions.erase(repeated.begin(), repeated.end());
  return versions;
}

std::expected<Bytes, std::string> parse_secured_versions(const std::vector<std::string>& words) {
  Bytes versions;
  for (const std::string& word : words) {
    if (word != "1.0" && word != "1.1" && word != "1.2")
      return std::unexpected(
          fmt::format("there is no version {} of secured messages; there are 1.0 to 1.2", word));
    versions.push_back(std::byte(0x10 + (word[2] - '0')));
  }
  return versions;
}

std::uint32_t excluded_by(std::uint32_t mask) {
  switch (mask) {
    case kSpdmCapCert:
      return kSpdmCapPubKeyId;
    case kSpdmCapPubKeyId:
      return kSpdmCapCert;
    case kSpdmCapMeasSig:
      return kSpdmCapMeasNoSig;
    case kSpdmCapMeasNoSig:
      return kSpdmCapMeasSig;
    case kSpdmCapPsk:
      return kSpdmCapPskWithContext;
    case kSpdmCapPskWithContext:
      return kSpdmCapPsk;
    case kSpdmCapEndpointInfoNoSig:
      return kSpdmCapEndpointInfoSig;
    case kSpdmCapEndpointInfoSig:
      return kSpdmCapEndpointInfoNoSig;
    case kSpdmCapMultiKeyOnly:
      return kSpdmCapMultiKeyNegotiated;
    case kSpdmCapMultiKeyNegotiated:
      return kSpdmCapMultiKeyOnly;
    default:
      return 0;
  }
}

std::expected<OfferedCapabilities, std::string> parse_capabilities(
    const std::vector<std::string>& words) {
  const auto has_sign = [](const std::string& word) {
    return word.starts_with('+') || word.starts_with('-');
  };
  const bool changes = std::ranges::all_of(words, has_sign);
  if (!changes && std::ranges::any_of(words, has_sign))
    return std::unexpected("capabilities are either all with a sign or all without");
  std::uint32_t flags = changes ? spdm::default_responder_flags() : 0;
  std::uint32_t extended = 0;
  for (const std::string& word : words) {
    const std::string_view name = std::string_view(word).substr(changes ? 1 : 0);
    const bool off = word.starts_with('-');
    const auto more = std::ranges::find(kSpdmExtendedCapNames, name, &NamedBit::name);
    if (more != kSpdmExtendedCapNames.end()) {
      extended = off ? extended & ~more->mask : extended | more->mask;
      continue;
    }
    const auto at = std::ranges::find(kSpdmCapNames, name, &NamedBit::name);
    if (at == kSpdmCapNames.end())
      return std::unexpected(
          fmt::format("there is no capability {}; there are {}", name, all_capabilities()));
    if (!off && (at->mask & kNobodyAnswers) != 0)
      return std::unexpected(fmt::format(
          "nothing here answers what {} announces: what is set counts at once, without a reset",
          name));
    if (changes && !off) flags &= ~excluded_by(at->mask);
    flags = off ? flags & ~at->mask : flags | at->mask;
  }
  if (!agree(flags)) return std::unexpected(why_they_disagree(flags));
  return OfferedCapabilities{flags, static_cast<std::uint16_t>(extended)};
}

std::optional<PostQuantum> post_quantum_of(std::string_view word) {
  constexpr std::array<std::string_view, 4> kWords = {"off", "offer", "first", "only"};
  const auto at = std::ranges::find(kWords, word);
  if (at == kWords.end()) return std::nullopt;
  return static_cast<PostQuantum>(at - kWords.begin());
}

spdm::Algorithms with_post_quantum(spdm::Algorithms all, PostQuantum wanted) {
  if (wanted == PostQuantum::kOff) {
    all.pqc_asym = 0;
    all.req_pqc_asym = 0;
    all.kem = 0;
  }
  all.post_quantum_first = wanted == PostQuantum::kFirst;
  if (wanted != PostQuantum::kOnly) return all;
  if (all.pqc_asym != 0) all.base_asym = 0;
  if (all.req_pqc_asym != 0) all.req_base_asym = 0;
  if (all.kem != 0) all.dhe = 0;
  return all;
}

std::string leave_out_unavailable(std::vector<std::string>& words, PostQuantum wanted) {
  const spdm::Algorithms have = spdm::Algorithms::all().with_post_quantum();
  const auto is_missing = [&](const std::string& word) {
    const std::uint32_t asym = bit_named({spdm_pqc_asym_name, kSpdmAllPqcAsym}, word);
    const std::uint32_t kem = bit_named({spdm_kem_name, kSpdmAllKem}, word);
    return (asym & ~have.pqc_asym) != 0 || (kem & ~unsigned{have.kem}) != 0;
  };
  std::vector<std::string> missing;
  std::ranges::copy_if(words, std::back_inserter(missing), is_missing);
  std::erase_if(words, is_missing);
  if (missing.empty() && (wanted < PostQuantum::kFirst || have.pqc_asym != 0)) return {};
  const std::string what = missing.empty() ? std::string("no post-quantum algorithm")
                                           : fmt::format("no {}", fmt::join(missing, ", "));
  return fmt::format("OpenSSL {} has {} (3.5 and later have): what is classical is offered",
                     crypto::openssl_version(), what);
}

spdm::Algorithms available_algorithms(bool with_chain) {
  spdm::Algorithms all = spdm::Algorithms::all().with_post_quantum();
  // SLH-DSA keys sign too slowly to be made while a peer waits.
  constexpr std::uint32_t kMlDsa = 0x7;
  if (!with_chain) all.pqc_asym &= kMlDsa;
  if (!with_chain)
    all.base_asym = std::to_underlying(SpdmAsym::kEcdsaP256) |
                    std::to_underlying(SpdmAsym::kEcdsaP384) |
                    std::to_underlying(SpdmAsym::kEcdsaP521);
  return all;
}

std::expected<spdm::Algorithms, std::string> parse_algorithms(
    const spdm::Algorithms& all, const std::vector<std::string>& words) {
  std::array kinds{
      AlgorithmKind{spdm_asym_name, all.base_asym},    AlgorithmKind{spdm_hash_name, all.base_hash},
      AlgorithmKind{spdm_dhe_name, all.dhe},           AlgorithmKind{spdm_aead_name, all.aead},
      AlgorithmKind{spdm_pqc_asym_name, all.pqc_asym}, AlgorithmKind{spdm_kem_name, all.kem}};
  for (const std::string& word : words) {
    const auto kind = std::ranges::find_if(
        kinds, [&](const AlgorithmKind& one) { return bit_named(one, word) != 0; });
    if (kind == kinds.end())
      return std::unexpected(
          fmt::format("there is no algorithm {}; there are {}", word, all_algorithms(kinds)));
    kind->named |= bit_named(*kind, word);
  }
  const auto kept = [](const AlgorithmKind& kind) {
    return kind.named != 0 ? kind.named : kind.all;
  };
  spdm::Algorithms chosen = all;
  chosen.base_asym = kept(kinds[0]);
  chosen.base_hash = kept(kinds[1]);
  chosen.dhe = static_cast<std::uint16_t>(kept(kinds[2]));
  chosen.aead = static_cast<std::uint16_t>(kept(kinds[3]));
  chosen.pqc_asym = kept(kinds[4]);
  chosen.kem = static_cast<std::uint16_t>(kept(kinds[5]));
  return chosen;
}

}  // namespace teeio::serve
