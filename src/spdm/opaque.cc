#include "spdm/opaque.h"

#include <algorithm>
#include <array>
#include <vector>

#include "wire/spdm_algorithms.h"
#include "wire/spdm_opaque.h"

namespace teeio::spdm {
namespace {

const std::vector<std::uint8_t>& versions() {
  static const std::vector<std::uint8_t> kVersions{wire::kSecuredVersion10, wire::kSecuredVersion11,
                                                   wire::kSecuredVersion12};
  return kVersions;
}

wire::SpdmOpaqueFormat format(const Negotiated& agreed) {
  const bool general = agreed.version >= wire::kSpdmVersion12 &&
                       (agreed.algorithms.other_params & wire::kSpdmOpaqueFormat1) != 0;
  return general ? wire::SpdmOpaqueFormat::k1 : wire::SpdmOpaqueFormat::k0;
}

}  // namespace

Bytes offer_secured_versions(const Negotiated& agreed) {
  return wire::encode_secured_versions(versions(), format(agreed));
}

Result<SecuredVersionChoice> choose_secured_version(const Negotiated& agreed, ByteView opaque,
                                                    ByteView allowed) {
  const auto may = [&](std::uint8_t version) {
    return std::ranges::find(versions(), version) != versions().end() &&
           (allowed.empty() || std::ranges::find(allowed, std::byte{version}) != allowed.end());
  };
  constexpr Error kNoneIsCommon{Errno::kOpNotSupp, "no version of secured messages is common"};
  if (opaque.empty() && !may(wire::kSecuredVersion10)) return std::unexpected(kNoneIsCommon);
  if (opaque.empty()) return SecuredVersionChoice{wire::kSecuredVersion10, {}};
  TEEIO_ASSIGN(const auto offered, wire::decode_secured_versions(opaque, format(agreed)));
  std::uint8_t chosen = 0;
  for (const std::uint8_t version : offered)
    if (may(version)) chosen = std::max(chosen, version);
  if (chosen == 0) return std::unexpected(kNoneIsCommon);
  return SecuredVersionChoice{chosen, wire::encode_secured_version_choice(chosen, format(agreed))};
}

Result<std::uint8_t> read_secured_version_choice(const Negotiated& agreed, ByteView opaque) {
  if (opaque.empty()) return wire::kSecuredVersion10;
  TEEIO_ASSIGN(const auto choice, wire::decode_secured_version_choice(opaque, format(agreed)));
  if (!choice || std::ranges::find(versions(), *choice) == versions().end())
    return fail(Errno::kOpNotSupp,
                "the device chose a version of secured messages that was not offered");
  return *choice;
}

Bytes encode_measurement_opaque(const Negotiated& agreed, ByteView data) {
  constexpr std::uint8_t kPciSig = 3;  // DSP0274, "Registry or standards body ID"
  constexpr std::array kVendor{std::byte{0xfe}, std::byte{0x1e}};
  const bool has_format = agreed.version < wire::kSpdmVersion12 ||
                          (agreed.algorithms.other_params & wire::kSpdmOpaqueFormat1) != 0;
  if (data.empty() || !has_format) return {};
  wire::SpdmOpaqueData opaque;
  opaque.elements.push_back({.registry = kPciSig, .vendor_id = kVendor, .data = data});
  return opaque.encode(format(agreed));
}

}  // namespace teeio::spdm
