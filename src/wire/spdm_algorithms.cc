#include "wire/spdm_algorithms.h"

#include <array>
#include <bit>

#include "base/check.h"
#include "wire/spdm_algorithms_codec.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr std::uint8_t kFirstTable = 2;  ///< AlgType of DHE

/// The table of AlgType kFirstTable + `index`.
template <class Tables>
auto& table(Tables& tables, std::size_t index) {
  const std::array all{&tables.dhe,          &tables.aead,         &tables.req_base_asym,
                       &tables.key_schedule, &tables.req_pqc_asym, &tables.kem};
  return *all[index];
}

/// How many tables `version` knows: types 6 and 7 came with 1.4.
std::size_t known_tables(std::uint8_t version) {
  if (version < kSpdmVersion11) return 0;
  return version < kSpdmVersion14 ? 4 : SpdmAlgorithmTables::kTypes;
}

/// External algorithms a request may list. Source: DSP0274 1.0 and 1.1, text of
/// NEGOTIATE_ALGORITHMS.
std::size_t max_external(std::uint8_t version) { return version < kSpdmVersion11 ? 8 : 20; }
std::size_t max_size(std::uint8_t version) { return version < kSpdmVersion11 ? 64 : 128; }

/// Reads `count` tables; returns how many external algorithms they list.
std::size_t read_tables(SpdmReader& r, std::size_t count, SpdmAlgorithmTables& tables) {
  std::size_t external = 0;
  unsigned before = 0;
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    const unsigned type = r.u8();
    const unsigned sizes = r.u8();
    const std::size_t fixed = sizes >> 4U;
    r.require(type > before, "algorithm tables are not in ascending order");
    r.require(type >= kFirstTable, "algorithm table has a reserved type");
    r.require(fixed % 4 == 2, "algorithm table is not a whole number of DWORDs");
    before = type;
    const std::uint16_t supported = r.u16();
    if (fixed > 2) r.skip(fixed - 2);
    r.skip(std::size_t{4} * (sizes & 0xfU));
    external += sizes & 0xfU;
    if (r.ok() && type - kFirstTable < known_tables(r.version()))
      table(tables, type - kFirstTable) = supported;
  }
  return external;
}

void write_tables(Writer& w, const SpdmAlgorithmTables& tables, std::uint8_t version) {
  for (std::size_t i = 0; i < known_tables(version); ++i) {
    const auto& supported = table(tables, i);
    if (supported) w.le(static_cast<std::uint8_t>(kFirstTable + i)).le(std::uint8_t{0x20});
    if (supported) w.le(*supported);
  }
}

std::uint8_t table_count(const SpdmAlgorithmTables& tables, std::uint8_t version) {
  std::uint8_t count = 0;
  for (std::size_t i = 0; i < known_tables(version); ++i)
    if (table(tables, i)) ++count;
  return count;
}

/// From Length on. `begin`: the offset at which Length's count starts.
SpdmAlgorithmOffer read_offer(SpdmReader& r, std::size_t begin, std::size_t tables) {
  SpdmAlgorithmOffer offer;
  const std::size_t length = r.u16();
  offer.measurement_specification = r.u8();
  offer.other_params = r.u8();
  offer.base_asym = r.u32();
  offer.base_hash = r.u32();
  offer.pqc_asym = r.u32();
  r.skip(8);
  const std::size_t asym = r.u8();
  const std::size_t hash = r.u8();
  r.skip(1);
  offer.mel_specification = r.u8();
  offer.extended_asym = r.take(4 * asym);
  offer.extended_hash = r.take(4 * hash);
  const std::size_t external = asym + hash + read_tables(r, tables, offer.tables);
  r.require(external <= max_external(r.version()), "too many external algorithms");
  r.require(r.offset() - begin == length, "algorithms' Length is not that of the message");
  if (!r.since(kSpdmVersion12)) offer.other_params = 0;
  if (!r.since(kSpdmVersion13)) offer.mel_specification = 0;
  if (!r.since(kSpdmVersion14)) offer.pqc_asym = 0;
  return offer;
}

void write_offer(Writer& w, const SpdmAlgorithmOffer& offer, std::uint8_t version,
                 std::size_t bytes_before) {
  TEEIO_CHECK(offer.extended_asym.size() % 4 == 0 && offer.extended_hash.size() % 4 == 0,
              "external algorithms have four bytes each");
  const std::size_t length = bytes_before + 28 + offer.extended_asym.size() +
                             offer.extended_hash.size() +
                             std::size_t{4} * table_count(offer.tables, version);
  w.le(static_cast<std::uint16_t>(length)).le(offer.measurement_specification);
  w.le(version >= kSpdmVersion12 ? offer.other_params : std::uint8_t{0});
  w.le(offer.base_asym).le(offer.base_hash);
  w.le(version >= kSpdmVersion14 ? offer.pqc_asym : 0U).zeros(8);
  w.le(static_cast<std::uint8_t>(offer.extended_asym.size() / 4));
  w.le(static_cast<std::uint8_t>(offer.extended_hash.size() / 4)).zeros(1);
  w.le(version >= kSpdmVersion13 ? offer.mel_specification : std::uint8_t{0});
  w.bytes(offer.extended_asym).bytes(offer.extended_hash);
  write_tables(w, offer.tables, version);
}

struct NamedSize {
  std::uint32_t bit;
  std::size_t size_bytes;
  std::string_view name;
};
/// The row of `value` when it is exactly one known bit; rows are in the order of their bits.
template <std::size_t N>
const NamedSize* find(const std::array<NamedSize, N>& rows, std::uint32_t value) {
  const auto bit = static_cast<std::size_t>(std::countr_zero(value));
  return bit < N && rows[bit].bit == value ? &rows[bit] : nullptr;
}
template <std::size_t N>
std::size_t size_in(const std::array<NamedSize, N>& rows, std::uint32_t value) {
  const NamedSize* row = find(rows, value);
  return row == nullptr ? 0 : row->size_bytes;
}
template <std::size_t N>
std::string_view name_in(const std::array<NamedSize, N>& rows, std::uint32_t value) {
  const NamedSize* row = find(rows, value);
  return row == nullptr ? std::string_view{} : row->name;
}

constexpr std::array kHashes{
    NamedSize{1U << 0U, 32, "SHA-256"},  NamedSize{1U << 1U, 48, "SHA-384"},
    NamedSize{1U << 2U, 64, "SHA-512"},  NamedSize{1U << 3U, 32, "SHA3-256"},
    NamedSize{1U << 4U, 48, "SHA3-384"}, NamedSize{1U << 5U, 64, "SHA3-512"},
    NamedSize{1U << 6U, 32, "SM3-256"},
};
constexpr std::array kSignatures{
    NamedSize{1U << 0U, 256, "RSASSA-2048"}, NamedSize{1U << 1U, 256, "RSAPSS-2048"},
    NamedSize{1U << 2U, 384, "RSASSA-3072"}, NamedSize{1U << 3U, 384, "RSAPSS-3072"},
    NamedSize{1U << 4U, 64, "ECDSA-P256"},   NamedSize{1U << 5U, 512, "RSASSA-4096"},
    NamedSize{1U << 6U, 512, "RSAPSS-4096"}, NamedSize{1U << 7U, 96, "ECDSA-P384"},
    NamedSize{1U << 8U, 132, "ECDSA-P521"},  NamedSize{1U << 9U, 64, "SM2"},
    NamedSize{1U << 10U, 64, "Ed25519"},     NamedSize{1U << 11U, 114, "Ed448"},
};
constexpr std::array kExchanges{
    NamedSize{1U << 0U, 256, "FFDHE2048"}, NamedSize{1U << 1U, 384, "FFDHE3072"},
    NamedSize{1U << 2U, 512, "FFDHE4096"}, NamedSize{1U << 3U, 64, "SECP256R1"},
    NamedSize{1U << 4U, 96, "SECP384R1"},  NamedSize{1U << 5U, 132, "SECP521R1"},
    NamedSize{1U << 6U, 64, "SM2-P256"},
};
/// Size: of the key.
constexpr std::array kAeads{
    NamedSize{1U << 0U, 16, "AES-128-GCM"},
    NamedSize{1U << 1U, 32, "AES-256-GCM"},
    NamedSize{1U << 2U, 32, "CHACHA20-POLY1305"},
    NamedSize{1U << 3U, 16, "SM4-GCM"},
};

}  // namespace

std::size_t spdm_hash_size(std::uint32_t base_hash) { return size_in(kHashes, base_hash); }
std::size_t spdm_signature_size(std::uint32_t base_asym) { return size_in(kSignatures, base_asym); }
std::size_t spdm_exchange_size(std::uint32_t dhe) { return size_in(kExchanges, dhe); }
std::string_view spdm_hash_name(std::uint32_t base_hash) { return name_in(kHashes, base_hash); }
std::string_view spdm_asym_name(std::uint32_t base_asym) { return name_in(kSignatures, base_asym); }
std::string_view spdm_dhe_name(std::uint32_t dhe) { return name_in(kExchanges, dhe); }
std::string_view spdm_aead_name(std::uint32_t aead) { return name_in(kAeads, aead); }

std::size_t SpdmAlgorithmTables::count() const { return table_count(*this, kSpdmVersion14); }

SpdmAlgorithmOffer read_algorithm_block(SpdmReader& r) {
  const std::size_t begin = r.offset();
  const std::size_t tables = r.u8();
  r.skip(1);
  return read_offer(r, begin, tables);
}

void write_algorithm_block(Writer& w, const SpdmAlgorithmOffer& offer, std::uint8_t version) {
  w.le(table_count(offer.tables, version)).zeros(1);
  write_offer(w, offer, version, 2);
}

Result<SpdmNegotiateAlgorithms> SpdmNegotiateAlgorithms::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmNegotiateAlgorithms m;
  m.version = r.version();
  m.offer = read_offer(r, 0, r.since(kSpdmVersion11) ? r.param1() : 0);
  r.require(r.offset() <= max_size(m.version), "NEGOTIATE_ALGORITHMS is too long");
  return r.finish(m);
}

Bytes SpdmNegotiateAlgorithms::encode() const {
  Writer w = begin_spdm(version, kCode, table_count(offer.tables, version));
  write_offer(w, offer, version, SpdmHeader::kSize);
  return w.take();
}

Result<SpdmAlgorithms> SpdmAlgorithms::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmAlgorithms m;
  m.version = r.version();
  const std::size_t length = r.u16();
  m.measurement_specification = r.u8();
  m.other_params = r.u8();
  m.measurement_hash = r.u32();
  m.base_asym = r.u32();
  m.base_hash = r.u32();
  m.pqc_asym = r.u32();
  r.skip(7);
  m.mel_specification = r.u8();
  const std::size_t asym = r.u8();
  const std::size_t hash = r.u8();
  r.require(asym <= 1 && hash <= 1, "ALGORITHMS chooses several external algorithms");
  r.skip(2);
  m.extended_asym = r.take(4 * asym);
  m.extended_hash = r.take(4 * hash);
  (void)read_tables(r, r.since(kSpdmVersion11) ? r.param1() : 0, m.tables);
  r.require(r.offset() == length, "algorithms' Length is not that of the message");
  if (!r.since(kSpdmVersion12)) m.other_params = 0;
  if (!r.since(kSpdmVersion13)) m.mel_specification = 0;
  if (!r.since(kSpdmVersion14)) m.pqc_asym = 0;
  return r.finish(m);
}

Bytes SpdmAlgorithms::encode() const {
  TEEIO_CHECK(extended_asym.size() % 4 == 0 && extended_hash.size() % 4 == 0,
              "external algorithms have four bytes each");
  const std::uint8_t count = table_count(tables, version);
  Writer w = begin_spdm(version, kCode, count);
  const std::size_t length =
      36 + extended_asym.size() + extended_hash.size() + std::size_t{4} * count;
  w.le(static_cast<std::uint16_t>(length)).le(measurement_specification);
  w.le(version >= kSpdmVersion12 ? other_params : std::uint8_t{0});
  w.le(measurement_hash).le(base_asym).le(base_hash);
  w.le(version >= kSpdmVersion14 ? pqc_asym : 0U).zeros(7);
  w.le(version >= kSpdmVersion13 ? mel_specification : std::uint8_t{0});
  w.le(static_cast<std::uint8_t>(extended_asym.size() / 4));
  w.le(static_cast<std::uint8_t>(extended_hash.size() / 4)).zeros(2);
  w.bytes(extended_asym).bytes(extended_hash);
  write_tables(w, tables, version);
  return w.take();
}

}  // namespace teeio::wire
