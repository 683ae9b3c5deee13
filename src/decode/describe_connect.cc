#include <array>

#include "decode/describe.h"
#include "wire/spdm_capability_names.h"
#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

/// "A|B|0x80": names of the bits that are set, the others as a number.
template <std::size_t N>
void add_bits(Text& out, const std::array<wire::NamedBit, N>& bits, std::uint32_t value) {
  List names(out, '|');
  std::uint32_t rest = value;
  for (const wire::NamedBit& bit : bits) {
    if ((rest & bit.mask) == 0) continue;
    names.next().add(bit.name);
    rest &= ~bit.mask;
  }
  if (rest != 0 || value == 0) names.next().add("0x").add_number(rest, 16);
}

using AlgorithmName = std::string_view (*)(std::uint32_t);

/// Names of the algorithms whose bits are set, from wire's tables.
void add_algorithms(Text& out, std::uint32_t value, AlgorithmName name) {
  if (value == 0) out.add("none");
  List names(out, '|');
  for (std::uint32_t mask = 0; value != 0; value &= ~mask) {
    mask = value & (~value + 1);  // the lowest
    const std::string_view known = name(mask);
    if (known.empty())
      names.next().add("0x").add_number(mask, 16);
    else
      names.next().add(known);
  }
}

void algorithms(Fields& f, FieldName field, std::uint32_t value, AlgorithmName name) {
  f.word(field, [value, name](Text& out) { add_algorithms(out, value, name); });
}

void measurement_hash(Fields& f, std::uint32_t value) {
  if (value == 1) return f.word("measurement_hash", "raw");
  algorithms(f, "measurement_hash", value >> 1U, wire::spdm_hash_name);
}

template <class Bits>
void bits(Fields& f, FieldName field, const Bits& names, std::uint32_t value) {
  f.word(field, [&names, value](Text& out) { add_bits(out, names, value); });
}

template <class Message>
void describe_capabilities(Fields& f, const Message& m) {
  bits(f, "flags", wire::kSpdmCapNames, m.flags);
  if (m.extended_flags != 0)
    bits(f, "extended_flags", wire::kSpdmExtendedCapNames, m.extended_flags);
  f.number("ct_exponent", m.ct_exponent);
  if (m.version < wire::kSpdmVersion12) return;
  f.number("data_transfer_size", m.data_transfer_size);
  f.number("max_spdm_msg_size", m.max_spdm_message_size);
}

/// What NEGOTIATE_ALGORITHMS and ALGORITHMS have in common.
template <class Algorithms>
void describe_algorithms(Fields& f, const Algorithms& a) {
  algorithms(f, "hash", a.base_hash, wire::spdm_hash_name);
  algorithms(f, "asym", a.base_asym, wire::spdm_asym_name);
  if (a.tables.dhe) algorithms(f, "dhe", *a.tables.dhe, wire::spdm_dhe_name);
  if (a.tables.aead) algorithms(f, "aead", *a.tables.aead, wire::spdm_aead_name);
  if (a.tables.req_base_asym)
    algorithms(f, "req_asym", *a.tables.req_base_asym, wire::spdm_asym_name);
  if (a.tables.key_schedule) f.hex_number("key_schedule", *a.tables.key_schedule);
  if (a.pqc_asym != 0) algorithms(f, "pqc_asym", a.pqc_asym, wire::spdm_pqc_asym_name);
  if (a.tables.req_pqc_asym)
    algorithms(f, "req_pqc_asym", *a.tables.req_pqc_asym, wire::spdm_pqc_asym_name);
  if (a.tables.kem) algorithms(f, "kem", *a.tables.kem, wire::spdm_kem_name);
  f.hex_number("measurement_spec", a.measurement_specification);
  f.hex_number("other_params", a.other_params);
  if (a.mel_specification != 0) f.hex_number("mel_spec", a.mel_specification);
}

}  // namespace

void describe(Fields& /*f*/, const wire::SpdmGetVersion& /*m*/) {}

void describe(Fields& f, const wire::SpdmVersionResponse& m) {
  f.word("versions", [&m](Text& out) { add_versions(out, m.versions); });
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
  measurement_hash(f, m.measurement_hash);
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
