#include "serve/tsp_configuration.h"

#include <bit>

#include "wire/cxl.h"

namespace teeio::serve {
namespace {

namespace tsp = wire::cxl::tsp;

/// `bits` are all in `known`.
bool within(unsigned bits, unsigned known) { return (bits & ~known) == 0; }
/// Exactly one of `known`.
bool one_of(std::uint32_t bits, std::uint32_t known) {
  return std::has_single_bit(bits) && within(bits, known);
}

bool encryption_fits(const TspConfiguration& wanted, const TspCapabilities& has) {
  if (!within(wanted.encryption, tsp::can_be_enabled(has.encryption))) return false;
  if ((wanted.encryption & tsp::kEncryption) == 0)
    return wanted.encryption == 0 && wanted.algorithm == 0;
  const bool by_ckid = (wanted.encryption & tsp::kCkidBased) != 0;
  const bool by_range = (wanted.encryption & tsp::kRangeBased) != 0;
  const bool required = (wanted.encryption & tsp::kCkidRequiredEnabled) != 0;
  return !(by_ckid && by_range) && by_ckid == required && one_of(wanted.algorithm, has.algorithms);
}

bool te_state_fits(const TspConfiguration& wanted, const TspCapabilities& has) {
  const auto asks = [&](unsigned bits) { return (wanted.te_state & bits) != 0; };
  const bool explicit_change = asks(tsp::kOutOfBand | tsp::kInBand);
  if (!within(wanted.te_state, has.te_state)) return false;
  if (asks(tsp::kWriteAccess | tsp::kSanitize) && !explicit_change) return false;
  if (asks(tsp::kReadAccess) && !explicit_change && !asks(tsp::kImplicit)) return false;
  return asks(tsp::kOutOfBand) ? one_of(wanted.out_of_band, has.out_of_band)
                               : wanted.out_of_band == 0;
}

/// Each length has one entry.
bool lengths_fit(const TspConfiguration& wanted) {
  if ((wanted.te_state & tsp::kInBand) == 0) return true;
  constexpr unsigned kLengths = 8;
  unsigned seen = 0;
  for (const std::uint8_t length : wanted.in_band_lengths) {
    if (length == TspConfiguration::kNoLength) continue;
    if (length >= kLengths || (seen >> length & 1U) != 0) return false;
    seen |= 1U << length;
  }
  return true;
}

bool ckids_fit(const TspConfiguration& wanted, const TspCapabilities& has) {
  constexpr std::uint32_t kCkids = 0x2000;
  if ((wanted.encryption & tsp::kCkidRequiredEnabled) == 0) return true;
  return wanted.ckids <= has.ckids && wanted.ckid_base < kCkids &&
         wanted.ckids < kCkids - wanted.ckid_base;
}

bool sessions_fit(const TspConfiguration& wanted, const TspCapabilities& has) {
  const auto count = static_cast<unsigned>(std::popcount(wanted.secondary_sessions));
  return wanted.secondary_sessions == (1U << count) - 1 && count <= has.secondary_sessions;
}

}  // namespace

std::optional<TspConfiguration> TspConfiguration::decode(ByteView request) {
  if (request.size() != tsp::kSetBytes) return std::nullopt;
  Reader r(request.subspan(tsp::kHeaderBytes));
  TspConfiguration wanted;
  wanted.encryption = r.le<std::uint16_t>();
  wanted.algorithm = r.le<std::uint32_t>();
  r.skip(4);
  wanted.te_state = r.le<std::uint16_t>();
  r.skip(2);
  wanted.out_of_band = r.le<std::uint32_t>();
  r.skip(4);
  wanted.configuration = r.le<std::uint16_t>();
  r.skip(2);
  wanted.ckid_base = r.le<std::uint32_t>();
  wanted.ckids = r.le<std::uint32_t>();
  r.skip(12);
  for (std::uint8_t& length : wanted.in_band_lengths) {
    r.skip(8);  // the granularity itself
    length = r.le<std::uint8_t>();
    r.skip(7);
  }
  r.skip(16);
  wanted.secondary_sessions = r.le<std::uint16_t>();
  return wanted;
}

bool fits(const TspConfiguration& wanted, const TspCapabilities& has) {
  constexpr unsigned kSpecialPurpose = 2;
  return encryption_fits(wanted, has) && te_state_fits(wanted, has) && lengths_fit(wanted) &&
         ckids_fit(wanted, has) && sessions_fit(wanted, has) &&
         within(wanted.configuration, (has.configuration & tsp::kLockedUpdate) | kSpecialPurpose);
}

}  // namespace teeio::serve
