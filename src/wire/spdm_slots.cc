#include "wire/spdm_slots.h"

#include <utility>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

using enum SpdmSlotSubcode;

constexpr std::uint16_t kHeader = 8;           ///< MgmtStructOffset where nothing is between
constexpr std::uint16_t kSlotAddress = 8;      ///< its ReqLength
constexpr std::uint16_t kSubcodesLength = 36;  ///< RespLength
constexpr std::size_t kBitmap = 8;             ///< bytes, of
constexpr std::uint8_t kBankElementLength = 4;
constexpr std::uint16_t kSlotElementFixed = 16;  ///< before the digest

bool has_slot_address(std::uint8_t subcode) {
  return subcode != std::to_underlying(kSupportedSubcodes) &&
         subcode != std::to_underlying(kGetBankInfo) && !spdm_slot_subcode_name(subcode).empty();
}

void write_short_field(Writer& w, ByteView bytes) {
  TEEIO_CHECK(bytes.size() <= 0xff, "the field has one byte for its length");
  w.le(static_cast<std::uint8_t>(bytes.size())).bytes(bytes);
}

std::uint16_t size16(std::size_t size) {
  TEEIO_CHECK(size <= 0xffff, "the field has two bytes for its length");
  return static_cast<std::uint16_t>(size);
}

ByteView take_short_field(Reader& r) { return r.take(r.le<std::uint8_t>()); }

/// The part of a structure that its RespLength names, behind that.
Result<Reader> open_structure(ByteView structure) {
  Reader r(structure);
  const std::size_t length = r.le<std::uint16_t>();
  if (!r.ok() || length < sizeof(std::uint16_t) || length > structure.size())
    return fail(Errno::kInval, "a slot management structure has another length than it says");
  return Reader(structure.first(length).subspan(sizeof(std::uint16_t)));
}

std::unexpected<Error> contradicts() {
  return fail(Errno::kInval, "a slot management structure's lengths contradict each other");
}

/// What is behind SlotAddress.
void read_rest(SpdmReader& r, SpdmSlotManagement& m) {
  switch (SpdmSlotSubcode{m.subcode}) {
    case kSupportedSubcodes:
    case kGetBankInfo:
    case kGetBankDetails:
    case kGetCertificateChain:
      return;
    case kGetCsr: {
      m.key_pair = r.u8();
      m.attributes = r.u8();
      r.skip(2);
      const std::size_t info = r.u16();
      const std::size_t opaque = r.u16();
      m.requester_info = r.take(info);
      m.opaque = r.take(opaque);
      return;
    }
    case kManageBank:
      m.operation = r.u8();
      r.skip(3);
      m.asym = r.u32();
      m.pqc = r.take(r.u8());
      return;
    case kManageSlot:
      m.operation = r.u8();
      r.skip(3);
      return;
    case kSetCertificate: {
      const std::size_t size = r.u32();
      m.attributes = r.u8();
      m.key_pair = r.u8();
      r.skip(2);
      m.certificate_chain = r.take(size);
      return;
    }
  }
}

void write_rest(Writer& w, const SpdmSlotManagement& m) {
  switch (SpdmSlotSubcode{m.subcode}) {
    case kSupportedSubcodes:
    case kGetBankInfo:
    case kGetBankDetails:
    case kGetCertificateChain:
      return;
    case kGetCsr:
      w.le(m.key_pair).le(m.attributes).zeros(2);
      w.le(size16(m.requester_info.size())).le(size16(m.opaque.size()));
      w.bytes(m.requester_info).bytes(m.opaque);
      return;
    case kManageBank:
      w.le(m.operation).zeros(3).le(m.asym);
      return write_short_field(w, m.pqc);
    case kManageSlot:
      w.le(m.operation).zeros(3);
      return;
    case kSetCertificate:
      w.le(static_cast<std::uint32_t>(m.certificate_chain.size()));
      w.le(m.attributes).le(m.key_pair).zeros(2).bytes(m.certificate_chain);
      return;
  }
}

/// What both messages begin with; gives the structure's offset.
std::uint16_t read_head(SpdmReader& r, auto& message) {
  message.version = r.version();
  message.subcode = r.param1();
  const std::uint16_t offset = r.u16();
  r.skip(2);
  return offset;
}

void skip_to_structure(SpdmReader& r, std::uint16_t offset) {
  r.require(offset >= kHeader, "SLOT_MANAGEMENT's structure begins in its header");
  if (offset > kHeader) r.skip(offset - std::size_t{kHeader});
}

}  // namespace

std::string_view spdm_slot_subcode_name(std::uint8_t subcode) {
  switch (SpdmSlotSubcode{subcode}) {
    case kSupportedSubcodes:
      return "SupportedSubCodes";
    case kGetBankInfo:
      return "GetBankInfo";
    case kGetBankDetails:
      return "GetBankDetails";
    case kGetCertificateChain:
      return "GetCertificateChain";
    case kGetCsr:
      return "GetCSR";
    case kManageBank:
      return "ManageBank";
    case kManageSlot:
      return "ManageSlot";
    case kSetCertificate:
      return "SetCertificate";
  }
  return {};
}

Result<SpdmSlotManagement> SpdmSlotManagement::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSlotManagement m;
  const std::uint16_t offset = read_head(r, m);
  if (spdm_slot_subcode_name(m.subcode).empty()) return r.finish(m);
  if (!has_slot_address(m.subcode)) {
    r.require(offset == 0, "SLOT_MANAGEMENT has a structure where there is none");
    return r.finish(m);
  }
  skip_to_structure(r, offset);
  r.require(r.u16() == kSlotAddress, "a SlotAddress is not 8 bytes long");
  r.skip(2);
  m.bank = r.u8();
  m.slot = r.u8() & 0xfU;
  r.skip(2);
  read_rest(r, m);
  return r.finish(m);
}

Bytes SpdmSlotManagement::encode() const {
  Writer w = begin_spdm(version, kCode, subcode);
  const bool address = has_slot_address(subcode);
  w.le(static_cast<std::uint16_t>(address ? kHeader : 0)).zeros(2);
  if (!address) return w.take();
  w.le(kSlotAddress).zeros(2).le(bank).le(slot).zeros(2);
  write_rest(w, *this);
  return w.take();
}

Result<SpdmSlotManagementResp> SpdmSlotManagementResp::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSlotManagementResp m;
  const std::uint16_t offset = read_head(r, m);
  if (offset == 0) return r.finish(m);
  skip_to_structure(r, offset);
  SpdmReader ahead = r;
  const bool data = m.subcode == std::to_underlying(kGetCertificateChain) ||
                    m.subcode == std::to_underlying(kGetCsr);
  const std::size_t size =
      data ? std::size_t{ahead.u32()} + encode_spdm_slot_data({}).size() : ahead.u16();
  // A length counts itself.
  r.require(size >= sizeof(std::uint16_t),
            "a slot management structure is shorter than its length");
  m.structure = r.take(size);
  return r.finish(m);
}

Bytes SpdmSlotManagementResp::encode() const {
  Writer w = begin_spdm(version, kCode, subcode);
  w.le(static_cast<std::uint16_t>(structure.empty() ? 0 : kHeader)).zeros(2).bytes(structure);
  return w.take();
}

Bytes encode_spdm_supported_subcodes(std::uint64_t subcodes) {
  Writer w;
  w.le(kSubcodesLength).zeros(2).le(subcodes);
  return w.zeros(kSubcodesLength - w.size()).take();
}

Result<std::uint64_t> decode_spdm_supported_subcodes(ByteView structure) {
  TEEIO_ASSIGN(Reader r, open_structure(structure));
  r.skip(2);
  const auto subcodes = r.le<std::uint64_t>();
  if (!r.ok()) return contradicts();
  static_assert(sizeof(subcodes) == kBitmap);
  return subcodes;
}

Bytes encode_spdm_bank_info(std::span<const SpdmBankElement> banks) {
  Writer elements;
  for (const SpdmBankElement& one : banks)
    elements.le(kBankElementLength).le(one.bank).le(one.slots).le(one.modifiable);
  const Bytes all = elements.take();
  Writer w;
  w.le(size16(kHeader + all.size())).zeros(2);
  w.le(static_cast<std::uint8_t>(banks.size())).zeros(3).bytes(all);
  return w.take();
}

Result<std::vector<SpdmBankElement>> decode_spdm_bank_info(ByteView structure) {
  TEEIO_ASSIGN(Reader r, open_structure(structure));
  r.skip(2);
  const unsigned count = r.le<std::uint8_t>();
  r.skip(3);
  std::vector<SpdmBankElement> banks;
  for (unsigned i = 0; i < count && r.ok(); ++i) {
    const std::size_t length = r.le<std::uint8_t>();
    if (length < kBankElementLength) return contradicts();
    Reader element(r.take(length - 1));
    SpdmBankElement one;
    one.bank = element.le<std::uint8_t>();
    one.slots = element.le<std::uint8_t>();
    one.modifiable = element.le<std::uint8_t>();
    banks.push_back(one);
  }
  if (!r.ok()) return contradicts();
  return banks;
}

Result<SpdmBankDetails> SpdmBankDetails::decode(ByteView structure) {
  TEEIO_ASSIGN(Reader r, open_structure(structure));
  SpdmBankDetails m;
  m.bank = r.le<std::uint8_t>();
  r.skip(1);
  const unsigned count = r.le<std::uint16_t>();
  m.attributes = r.le<std::uint8_t>();
  r.skip(1);
  m.asym_capabilities = r.le<std::uint32_t>();
  m.current_asym = r.le<std::uint32_t>();
  m.available_asym = r.le<std::uint32_t>();
  m.pqc_capabilities = take_short_field(r);
  m.current_pqc = take_short_field(r);
  m.available_pqc = take_short_field(r);
  r.skip(4);
  for (unsigned i = 0; i < count && r.ok(); ++i) {
    const std::size_t length = r.le<std::uint16_t>();
    if (length < kSlotElementFixed) return contradicts();
    Reader element(r.take(length - sizeof(std::uint16_t)));
    SpdmSlotElement one;
    one.slot = element.le<std::uint8_t>();
    element.skip(1);
    one.attributes = element.le<std::uint8_t>();
    one.key_pair = element.le<std::uint8_t>();
    one.certificate_info = element.le<std::uint8_t>();
    element.skip(1);
    one.key_usage = element.le<std::uint16_t>();
    element.skip(2);
    one.size = element.le<std::uint32_t>();
    one.digest = element.rest();
    m.slots.push_back(one);
  }
  if (!r.ok()) return contradicts();
  return m;
}

Bytes SpdmBankDetails::encode() const {
  Writer rest;
  rest.le(bank).zeros(1).le(size16(slots.size())).le(attributes).zeros(1);
  rest.le(asym_capabilities).le(current_asym).le(available_asym);
  for (const ByteView pqc : {pqc_capabilities, current_pqc, available_pqc})
    write_short_field(rest, pqc);
  rest.zeros(4);
  for (const SpdmSlotElement& one : slots) {
    rest.le(size16(kSlotElementFixed + one.digest.size())).le(one.slot).zeros(1);
    rest.le(one.attributes).le(one.key_pair).le(one.certificate_info).zeros(1);
    rest.le(one.key_usage).zeros(2).le(one.size).bytes(one.digest);
  }
  const Bytes all = rest.take();
  return Writer().le(size16(sizeof(std::uint16_t) + all.size())).bytes(all).take();
}

Bytes encode_spdm_slot_data(ByteView data) {
  return Writer().le(static_cast<std::uint32_t>(data.size())).zeros(4).bytes(data).take();
}

Result<ByteView> decode_spdm_slot_data(ByteView structure) {
  Reader r(structure);
  const std::size_t size = r.le<std::uint32_t>();
  r.skip(4);
  const ByteView data = r.take(size);
  if (!r.ok()) return contradicts();
  return data;
}

}  // namespace teeio::wire
