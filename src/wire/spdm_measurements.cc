#include "wire/spdm_measurements.h"

#include <utility>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kMeasuredSlotMask = 0x0f;
constexpr unsigned kBasicMutualAuth = 0x80;      ///< CHALLENGE_AUTH's param1; deprecated since 1.2
constexpr unsigned kSignatureWanted = 1U << 0U;  ///< GET_MEASUREMENTS' param1
constexpr unsigned kRawBitStream = 1U << 1U;
constexpr unsigned kNewMeasurement = 1U << 2U;
constexpr unsigned kChangedShift = 4;  ///< content changed in MEASUREMENTS' param2

void write_context(Writer& w, std::uint8_t version, const SpdmContext& context) {
  if (version >= kSpdmVersion13) w.bytes(context);
}
SpdmContext read_context(SpdmReader& r) {
  return r.since(kSpdmVersion13) ? r.array<8>() : SpdmContext{};
}

}  // namespace

Result<SpdmChallenge> SpdmChallenge::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmChallenge m;
  m.version = r.version();
  m.slot = r.param1();
  m.summary = r.param2();
  m.nonce = r.array<32>();
  m.context = read_context(r);
  return r.finish(m);
}

Bytes SpdmChallenge::encode() const {
  Writer w = begin_spdm(version, kCode, slot, summary);
  w.bytes(nonce);
  write_context(w, version, context);
  return w.take();
}

Result<SpdmChallengeAuth> SpdmChallengeAuth::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmChallengeAuth m;
  m.version = r.version();
  m.slot = r.param1() & kMeasuredSlotMask;
  m.basic_mutual_auth = r.since(kSpdmVersion11) && (r.param1() & kBasicMutualAuth) != 0;
  m.slot_mask = r.param2();
  m.chain_hash = r.take(sizes.hash);
  m.nonce = r.array<32>();
  m.summary_hash = r.take(sizes.summary_hash);
  m.opaque = r.take(r.u16());
  m.context = read_context(r);
  m.signature = r.take(sizes.signature);
  return r.finish(m);
}

Bytes SpdmChallengeAuth::encode() const {
  const bool mutual = basic_mutual_auth && version >= kSpdmVersion11;
  Writer w = begin_spdm(version, kCode,
                        (slot & kMeasuredSlotMask) | (mutual ? kBasicMutualAuth : 0U), slot_mask);
  w.bytes(chain_hash).bytes(nonce).bytes(summary_hash);
  write_opaque(w, opaque);
  write_context(w, version, context);
  return w.bytes(signature).take();
}

Result<SpdmGetMeasurements> SpdmGetMeasurements::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetMeasurements m;
  m.version = r.version();
  m.sign = (r.param1() & kSignatureWanted) != 0;
  m.raw_bit_stream = r.since(kSpdmVersion12) && (r.param1() & kRawBitStream) != 0;
  m.new_measurement = r.since(kSpdmVersion13) && (r.param1() & kNewMeasurement) != 0;
  m.operation = r.param2();
  if (m.sign) {
    m.nonce = r.array<32>();
    if (r.since(kSpdmVersion11)) m.slot = r.u8() & kMeasuredSlotMask;
  }
  m.context = read_context(r);
  return r.finish(m);
}

Bytes SpdmGetMeasurements::encode() const {
  unsigned attributes = sign ? kSignatureWanted : 0U;
  if (raw_bit_stream && version >= kSpdmVersion12) attributes |= kRawBitStream;
  if (new_measurement && version >= kSpdmVersion13) attributes |= kNewMeasurement;
  Writer w = begin_spdm(version, kCode, attributes, operation);
  if (sign) w.bytes(nonce);
  if (sign && version >= kSpdmVersion11) w.le(static_cast<std::uint8_t>(slot & kMeasuredSlotMask));
  write_context(w, version, context);
  return w.take();
}

Result<SpdmMeasurements> SpdmMeasurements::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmMeasurements m;
  m.version = r.version();
  m.total = r.param1();
  m.slot = r.param2() & kMeasuredSlotMask;
  if (r.since(kSpdmVersion12)) m.content_changed = r.param2() >> kChangedShift & 3U;
  m.blocks = r.u8();
  m.record = r.take(r.u24());
  m.nonce = r.array<32>();
  m.opaque = r.take(r.u16());
  m.context = read_context(r);
  m.signature = r.take(sizes.signature);
  return r.finish(m);
}

Bytes SpdmMeasurements::encode() const {
  TEEIO_CHECK(record.size() <= 0xffffff, "a measurement record has three bytes for its length");
  const unsigned changed = version >= kSpdmVersion12 ? (content_changed & 3U) << kChangedShift : 0U;
  Writer w = begin_spdm(version, kCode, total, (slot & kMeasuredSlotMask) | changed);
  w.le(blocks).le(static_cast<std::uint16_t>(record.size()));
  w.le(static_cast<std::uint8_t>(record.size() >> 16U)).bytes(record).bytes(nonce);
  write_opaque(w, opaque);
  write_context(w, version, context);
  return w.bytes(signature).take();
}

namespace {

constexpr unsigned kRaw = 0x80;  ///< bit of DMTFSpecMeasurementValueType

/// What a DMTF measurement is in a block and in a log entry: type, size, value.
template <class Holder>
void read_value(Reader& r, Holder& out) {
  const auto type = r.le<std::uint8_t>();
  out.type = SpdmMeasurementType(type & 0x7fU);
  out.raw = (type & kRaw) != 0;
  out.value = r.take(r.le<std::uint16_t>());
}
template <class Holder>
void write_value(Writer& w, const Holder& in) {
  TEEIO_CHECK(in.value.size() <= 0xffff - 3, "a measurement has two bytes for its length");
  w.le(static_cast<std::uint8_t>(std::to_underlying(in.type) | (in.raw ? kRaw : 0U)));
  w.le(static_cast<std::uint16_t>(in.value.size())).bytes(in.value);
}

}  // namespace

Result<SpdmMeasurementBlock> SpdmMeasurementBlock::take(ByteView& record) {
  Reader r(record);
  SpdmMeasurementBlock block;
  block.index = r.le<std::uint8_t>();
  const auto specification = r.le<std::uint8_t>();
  const ByteView measurement = r.take(r.le<std::uint16_t>());
  if (!r.ok()) return fail(Errno::kInval, "measurement block leaves its record");
  if (specification != 1)
    return fail(Errno::kOpNotSupp, "measurement block is not of DMTF's specification");
  Reader inside(measurement);
  read_value(inside, block);
  if (!inside.ok() || !inside.rest().empty())
    return fail(Errno::kInval, "measurement and its block have different lengths");
  record = r.rest();
  return block;
}

void SpdmMeasurementBlock::append_to(Writer& record) const {
  record.le(index).le(std::uint8_t{1}).le(static_cast<std::uint16_t>(value.size() + 3));
  write_value(record, *this);
}

Result<SpdmGetMeasurementExtensionLog> SpdmGetMeasurementExtensionLog::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetMeasurementExtensionLog m;
  m.version = r.version();
  m.offset = r.u32();
  m.length = r.u32();
  return r.finish(m);
}

Bytes SpdmGetMeasurementExtensionLog::encode() const {
  return begin_spdm(version, kCode).le(offset).le(length).take();
}

Result<SpdmMeasurementExtensionLog> SpdmMeasurementExtensionLog::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmMeasurementExtensionLog m;
  m.version = r.version();
  const std::size_t size = r.u32();
  m.remainder = r.u32();
  m.portion = r.take(size);
  return r.finish(m);
}

Bytes SpdmMeasurementExtensionLog::encode() const {
  Writer w = begin_spdm(version, kCode);
  return w.le(static_cast<std::uint32_t>(portion.size())).le(remainder).bytes(portion).take();
}

Result<SpdmMelHeader> SpdmMelHeader::decode(ByteView log) {
  Reader r(log);
  SpdmMelHeader header;
  header.entries = r.le<std::uint32_t>();
  header.entries_size = r.le<std::uint32_t>();
  r.skip(8);
  if (!r.ok()) return fail(Errno::kInval, "measurement extension log is shorter than its header");
  if (r.rest().size() != header.entries_size)
    return fail(Errno::kInval, "measurement extension log is not as long as it says");
  return header;
}

Bytes SpdmMelHeader::encode() const {
  return Writer{}.le(entries).le(entries_size).zeros(8).take();
}

Result<SpdmMelEntry> SpdmMelEntry::take(ByteView& entries) {
  Reader r(entries);
  SpdmMelEntry entry;
  entry.mel_index = r.le<std::uint32_t>();
  entry.measurement_index = r.le<std::uint8_t>();
  r.skip(3);
  read_value(r, entry);
  if (!r.ok()) return fail(Errno::kInval, "entry leaves the measurement extension log");
  entries = r.rest();
  return entry;
}

void SpdmMelEntry::append_to(Writer& entries) const {
  entries.le(mel_index).le(measurement_index).zeros(3);
  write_value(entries, *this);
}

}  // namespace teeio::wire
