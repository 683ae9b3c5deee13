#include <fmt/format.h>

#include <array>

#include "decode/describe.h"
#include "wire/spdm_capability_names.h"
#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

std::string version_text(std::uint8_t version) {
  return fmt::format("{}.{}", version >> 4U, version & 0xfU);
}

using Bit = wire::NamedBit;

/// "A|B|0x80": names of the bits that are set, the others as a number.
template <std::size_t N>
std::string bits_text(const std::array<Bit, N>& bits, std::uint32_t value) {
  std::string out;
  out.reserve(N * 4);
  const auto add = [&](std::string_view text) {
    if (!out.empty()) out += '|';
    out += text;
  };
  for (const Bit& bit : bits) {
    if ((value & bit.mask) == 0) continue;
    add(bit.name);
    value &= ~bit.mask;
  }
  if (value != 0 || out.empty()) add(fmt::format("{:#x}", value));
  return out;
}

/// Names of the algorithms whose bits are set, from wire's tables.
std::string algorithms_text(std::uint32_t value, std::string_view (*name)(std::uint32_t)) {
  std::string out;
  for (std::uint32_t mask = 0; value != 0; value &= ~mask) {
    mask = value & (~value + 1);  // the lowest
    const std::string_view known = name(mask);
    if (!out.empty()) out += '|';
    if (known.empty())
      out += fmt::format("{:#x}", mask);
    else
      out += known;
  }
  return out.empty() ? "none" : out;
}

std::string measurement_hash_text(std::uint32_t value) {
  return value == 1 ? "raw" : algorithms_text(value >> 1U, wire::spdm_hash_name);
}

template <class Message>
void describe_capabilities(Fields& f, const Message& m) {
  f.word("flags", bits_text(wire::kSpdmCapNames, m.flags));
  if (m.extended_flags != 0)
    f.word("extended_flags", bits_text(wire::kSpdmExtendedCapNames, m.extended_flags));
  f.number("ct_exponent", m.ct_exponent);
  if (m.version < wire::kSpdmVersion12) return;
  f.number("data_transfer_size", m.data_transfer_size);
  f.number("max_spdm_msg_size", m.max_spdm_message_size);
}

/// What NEGOTIATE_ALGORITHMS and ALGORITHMS have in common.
template <class Algorithms>
void describe_algorithms(Fields& f, const Algorithms& a) {
  f.word("hash", algorithms_text(a.base_hash, wire::spdm_hash_name));
  f.word("asym", algorithms_text(a.base_asym, wire::spdm_asym_name));
  if (a.tables.dhe) f.word("dhe", algorithms_text(*a.tables.dhe, wire::spdm_dhe_name));
  if (a.tables.aead) f.word("aead", algorithms_text(*a.tables.aead, wire::spdm_aead_name));
  if (a.tables.req_base_asym)
    f.word("req_asym", algorithms_text(*a.tables.req_base_asym, wire::spdm_asym_name));
  if (a.tables.key_schedule) f.hex_number("key_schedule", *a.tables.key_schedule);
  if (a.pqc_asym != 0) f.word("pqc_asym", algorithms_text(a.pqc_asym, wire::spdm_pqc_asym_name));
  if (a.tables.req_pqc_asym)
    f.word("req_pqc_asym", algorithms_text(*a.tables.req_pqc_asym, wire::spdm_pqc_asym_name));
  if (a.tables.kem) f.word("kem", algorithms_text(*a.tables.kem, wire::spdm_kem_name));
  f.hex_number("measurement_spec", a.measurement_specification);
  f.hex_number("other_params", a.other_params);
  if (a.mel_specification != 0) f.hex_number("mel_spec", a.mel_specification);
}

}  // namespace

void describe(Fields& /*f*/, const wire::SpdmGetVersion& /*m*/) {}

void describe(Fields& f, const wire::SpdmVersionResponse& m) {
  std::string versions;
  for (const std::uint8_t version : m.versions)
    versions += (versions.empty() ? "" : ",") + version_text(version);
  f.word("versions", versions);
}

void describe(Fields& f, const wire::SpdmGetCapabilities& m) {
  if (m.version == wire::kSpdmVersion10) return;
  describe_capabilities(f, m);
  f.flag("want_algorithms", m.want_algorithms);
}

void describe(Fields& f, const wire::SpdmCapabilities& m) {
  describe_capabilities(f, m);
  if (m.algorithms) describe_algorithms(f, *m.algorithms);
}

void describe(Fields& f, const wire::SpdmNegotiateAlgorithms& m) {
  describe_algorithms(f, m.offer);
}

void describe(Fields& f, const wire::SpdmAlgorithms& m) {
  describe_algorithms(f, m);
  f.word("measurement_hash", measurement_hash_text(m.measurement_hash));
}

void describe(Fields& f, const wire::SpdmError& m) {
  f.word("error", wire::spdm_error_name(m.code));
  f.hex_number("code", m.code);
  f.hex_number("data", m.data);
  const wire::SpdmErrorCode code{m.code};
  if (code == wire::SpdmErrorCode::kResponseNotReady) {
    if (const auto ready = wire::SpdmNotReady::decode(m.extended)) {
      f.word("request", wire::spdm_name(ready->request_code));
      f.number("token", ready->token);
      f.number("delay_exponent", ready->delay_exponent);
    }
  } else if (code == wire::SpdmErrorCode::kLargeResponse) {
    f.bytes("handle", m.extended);
  } else if (wire::SpdmTooLarge::decode(m.extended) &&
             (code == wire::SpdmErrorCode::kResponseTooLarge ||
              code == wire::SpdmErrorCode::kDataTooLarge)) {
    f.number("size", wire::SpdmTooLarge::decode(m.extended)->size);
  } else if (code == wire::SpdmErrorCode::kVendorDefined) {
    f.bytes("extended", m.extended);
  }
}

void describe(Fields& f, const wire::SpdmRespondIfReady& m) {
  f.word("request", wire::spdm_name(m.request_code));
  f.number("token", m.token);
}

}  // namespace teeio::decode
