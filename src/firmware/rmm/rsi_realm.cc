#include <algorithm>

#include "firmware/rmm/mapping.h"
#include "firmware/rmm/rsi_call.h"

// The realm's calls that are not about devices: TF-RMM runtime/rsi/{version,feature,config,
// memory,host_call}.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kVersion1_0 = 1U << 16U;
constexpr std::uint64_t kVersion1_1 = kVersion1_0 | 1U;
constexpr std::uint64_t kDeviceAssignment = 1;  // RSI_FEATURE_REGISTER_0_DA
constexpr std::uint64_t kHostCallBytes = 0x100;
// struct rsi_realm_config.
constexpr std::uint64_t kPlanes = 0x10, kPlanesBytes = 0x18;
constexpr std::uint64_t kPersonalisationAt = 0x200;

}  // namespace

RsiResult Rmm::rsi_version(Hpa at, std::uint64_t wanted) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiVersion);
  const bool known = wanted == kVersion1_0 || wanted == kVersion1_1;
  RsiResult result = known ? RsiResult{} : call.refuse("version");
  result.x1 = known ? wanted : kVersion1_1;
  result.x2 = kVersion1_1;
  return calling(at).result = result;
}

RsiResult Rmm::rsi_features(Hpa at, std::uint64_t index) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const RsiCall call(*this, row::kRsiFeatures);
  Rec& rec = calling(at);
  const bool devices = takes_devices(rec);
  return rec.result = {.x1 = index == 0 && devices ? kDeviceAssignment : 0};
}

/// Where the realm's RAM is; else what the call comes to: realm_mem_lock_map().
std::expected<Hpa, RsiResult> Rmm::ram_of_call(RsiCall& call, const Rec& rec, Gpa ipa) {
  const auto place = place_of(realm_of(rec), page_of(ipa));
  if (place && !place->device) return place->page + offset_in_page(ipa);
  if (!place && place.error() == NoPlace::kUnmapped)
    return std::unexpected(RsiResult{.code = RsiCode::kAbort, .x1 = raw(page_of(ipa))});
  return std::unexpected(call.refuse("memory"));
}

RsiResult Rmm::rsi_realm_config(Hpa at, Gpa ipa) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiRealmConfig);
  Rec& rec = calling(at);
  if (!is_page_aligned(raw(ipa)) || raw(ipa) >= Rtt::kProtected)
    return rec.result = call.refuse("aligned");
  const auto page = ram_of_call(call, rec, ipa);
  if (!page) return rec.result = page.error();
  const Realm& realm = realm_of(rec);
  const bool sha256 = realm.measurements.algorithm() == HashAlgorithm::kSha256;
  const HashAlgorithm told =
      sha256 || !defective() ? realm.measurements.algorithm() : HashAlgorithm::kSha512;
  // The planes, the GIC's VTR and the plane of ATS are 0; reserved bytes stay as they are.
  Writer config;
  config.le(std::uint64_t{Rtt::kAddressBits}).le(static_cast<std::uint8_t>(told));
  (void)memory_.write(*page, config.take(), kRealmWorld);
  (void)memory_.write(*page + kPlanes, Bytes(kPlanesBytes), kRealmWorld);
  (void)memory_.write(*page + kPersonalisationAt, realm.identity.personalisation, kRealmWorld);
  return rec.result = {};
}

RsiResult Rmm::rsi_ipa_state_get(Hpa at, Gpa base, Gpa end) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiIpaStateGet);
  Rec& rec = calling(at);
  if (base >= end || !is_page_aligned(raw(base) | raw(end)) || !in_protected(base, end))
    return rec.result = call.refuse("range");
  // realm_ipa_get_ripas(): within the table where the walk ends, up to a table below it.
  const Rtt& rtt = realm_of(rec).rtt;
  const std::uint8_t level = rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  const Gpa start{raw(base) & ~(bytes - 1)};
  const Gpa last = std::min(end, start + to_table_end(start, level));
  const Ripas first = rtt.entry(start, level).ripas;
  Gpa top = start;
  while (top < last && !rtt.has_table(top, static_cast<std::uint8_t>(level + 1)) &&
         rtt.entry(top, level).ripas == first)
    top = top + bytes;
  return rec.result = {.x1 = raw(std::min(top, end)), .x2 = static_cast<std::uint64_t>(first)};
}

RsiResult Rmm::rsi_host_call(Hpa at, Gpa ipa) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiHostCall);
  Rec& rec = calling(at);
  if (raw(ipa) % kHostCallBytes != 0) return rec.result = call.refuse("aligned");
  if (raw(ipa) >= Rtt::kProtected) return rec.result = call.refuse("protected");
  const auto place = ram_of_call(call, rec, ipa);
  if (!place) return rec.result = place.error();
  rec.host_call = ipa;
  return rec.result = {.code = RsiCode::kIncomplete};
}

}  // namespace teeio::rmm
