#include "wire/tdisp_messages.h"

#include <utility>

#include "base/check.h"

namespace teeio::wire {
namespace {

TdispNonce read_nonce(Reader& r) {
  TdispNonce nonce{};
  std::ranges::copy(r.take(nonce.size()), nonce.begin());
  return nonce;
}

Bytes take_bytes(Reader& r, std::size_t count) {
  const ByteView taken = r.take(count);
  return {taken.begin(), taken.end()};
}

// read(): fields of one body in wire order. A short read shows in r.ok(), bytes
// left over in r.rest(); the caller looks at both.

template <TdispCode Code>
void read(Reader& /*r*/, TdispBare<Code>& /*m*/) {}
void read(Reader& r, TdispVersion& m) {
  const std::size_t count = r.le<std::uint8_t>();
  for (std::size_t i = 0; i < count && r.ok(); ++i) m.versions.push_back(r.le<std::uint8_t>());
}
void read(Reader& r, TdispGetCapabilities& m) { m.tsm_caps = r.le<std::uint32_t>(); }
void read(Reader& r, TdispCapabilities& m) {
  m.dsm_caps = r.le<std::uint32_t>();
  for (std::uint8_t& byte : m.requests) byte = r.le<std::uint8_t>();
  m.lock_flags = r.le<std::uint16_t>();
  r.skip(3);
  m.address_width = r.le<std::uint8_t>();
  m.requests_outstanding_this = r.le<std::uint8_t>();
  m.requests_outstanding_all = r.le<std::uint8_t>();
}
void read(Reader& r, TdispLockInterface& m) {
  m.flags = r.le<std::uint16_t>();
  m.default_stream_id = r.le<std::uint8_t>();
  r.skip(1);
  m.mmio_reporting_offset = r.le<std::uint64_t>();
  m.bind_p2p_address_mask = r.le<std::uint64_t>();
}
void read(Reader& r, TdispLockInterfaceResponse& m) { m.nonce = read_nonce(r); }
void read(Reader& r, TdispGetInterfaceReport& m) {
  m.offset = r.le<std::uint16_t>();
  m.length = r.le<std::uint16_t>();
}
void read(Reader& r, TdispInterfaceReportPortion& m) {
  const auto length = r.le<std::uint16_t>();
  m.remainder = r.le<std::uint16_t>();
  m.portion = take_bytes(r, length);
}
void read(Reader& r, TdispInterfaceState& m) { m.state = TdiState{r.le<std::uint8_t>()}; }
void read(Reader& r, TdispStartInterface& m) { m.nonce = read_nonce(r); }
void read(Reader& r, TdispBindP2pStream& m) { m.stream_id = r.le<std::uint8_t>(); }
void read(Reader& r, TdispUnbindP2pStream& m) { m.stream_id = r.le<std::uint8_t>(); }
void read(Reader& r, TdispSetMmioAttribute& m) { m.range = read_mmio_range(r); }
template <TdispCode Code>
void read(Reader& r, TdispVendor<Code>& m) {
  m.registry_id = r.le<std::uint8_t>();
  m.vendor_id = take_bytes(r, r.le<std::uint8_t>());
  m.data = take_bytes(r, r.rest().size());
}
void read(Reader& r, TdispErrorResponse& m) {
  m.code = r.le<std::uint32_t>();
  m.data = r.le<std::uint32_t>();
  m.extended = take_bytes(r, r.rest().size());
}

template <TdispCode Code>
void write(Writer& /*w*/, const TdispBare<Code>& /*m*/) {}
void write(Writer& w, const TdispVersion& m) {
  TEEIO_CHECK(m.versions.size() <= 255, "TDISP_VERSION has one byte for its count");
  w.le(static_cast<std::uint8_t>(m.versions.size()));
  for (const std::uint8_t version : m.versions) w.le(version);
}
void write(Writer& w, const TdispGetCapabilities& m) { w.le(m.tsm_caps); }
void write(Writer& w, const TdispCapabilities& m) {
  w.le(m.dsm_caps);
  for (const std::uint8_t byte : m.requests) w.le(byte);
  w.le(m.lock_flags).zeros(3).le(m.address_width);
  w.le(m.requests_outstanding_this).le(m.requests_outstanding_all);
}
void write(Writer& w, const TdispLockInterface& m) {
  w.le(m.flags).le(m.default_stream_id).zeros(1);
  w.le(m.mmio_reporting_offset).le(m.bind_p2p_address_mask);
}
void write(Writer& w, const TdispLockInterfaceResponse& m) { w.bytes(m.nonce); }
void write(Writer& w, const TdispGetInterfaceReport& m) { w.le(m.offset).le(m.length); }
void write(Writer& w, const TdispInterfaceReportPortion& m) {
  TEEIO_CHECK(m.portion.size() <= 0xffff, "report portion is too long");
  w.le(static_cast<std::uint16_t>(m.portion.size())).le(m.remainder).bytes(m.portion);
}
void write(Writer& w, const TdispInterfaceState& m) { w.le(std::to_underlying(m.state)); }
void write(Writer& w, const TdispStartInterface& m) { w.bytes(m.nonce); }
void write(Writer& w, const TdispBindP2pStream& m) { w.le(m.stream_id); }
void write(Writer& w, const TdispUnbindP2pStream& m) { w.le(m.stream_id); }
void write(Writer& w, const TdispSetMmioAttribute& m) { write_mmio_range(w, m.range); }
template <TdispCode Code>
void write(Writer& w, const TdispVendor<Code>& m) {
  TEEIO_CHECK(m.vendor_id.size() <= 255, "vendor ID has one byte for its length");
  w.le(m.registry_id).le(static_cast<std::uint8_t>(m.vendor_id.size()));
  w.bytes(m.vendor_id).bytes(m.data);
}
void write(Writer& w, const TdispErrorResponse& m) { w.le(m.code).le(m.data).bytes(m.extended); }

/// Decodes alternative `I` of TdispBody if its code is `type`, else looks further.
template <std::size_t I = 0>
std::expected<TdispBody, TdispError> decode_alternative(std::uint8_t type, ByteView in) {
  if constexpr (I == std::variant_size_v<TdispBody>) {
    return std::unexpected(TdispError::kUnsupportedRequest);
  } else {
    using Body = std::variant_alternative_t<I, TdispBody>;
    if (std::to_underlying(Body::kCode) != type) return decode_alternative<I + 1>(type, in);
    Reader r(in);
    Body body;
    read(r, body);
    if (!r.ok() || !r.rest().empty()) return std::unexpected(TdispError::kInvalidRequest);
    return body;
  }
}

static_assert(std::variant_size_v<TdispBody> == kTdispMessages.size(),
              "every row of the table has a body and every body a row");

}  // namespace

Result<TdispVendorError> TdispVendorError::decode(ByteView extended) {
  Reader r(extended);
  TdispVendorError error;
  error.registry_id = r.le<std::uint8_t>();
  error.vendor_id = take_bytes(r, r.le<std::uint8_t>());
  if (!r.ok()) return fail(Errno::kInval, "vendor's TDISP error is shorter than its vendor ID");
  error.data = take_bytes(r, r.rest().size());
  return error;
}

Bytes TdispVendorError::encode() const {
  TEEIO_CHECK(vendor_id.size() <= 255, "vendor ID has one byte for its length");
  Writer w;
  w.le(registry_id).le(static_cast<std::uint8_t>(vendor_id.size()));
  return w.bytes(vendor_id).bytes(data).take();
}

TdispCode code_of(const TdispBody& body) {
  return std::visit([](const auto& m) { return m.kCode; }, body);
}

std::expected<TdispBody, TdispError> decode_tdisp_body(std::uint8_t type, ByteView in) {
  return decode_alternative(type, in);
}

Result<TdispMessage> decode_tdisp(ByteView in) {
  TEEIO_ASSIGN(const TdispHeader header, TdispHeader::decode(in));
  if (header.version >> 4U != 1) return fail(Errno::kInval, "TDISP major version is not 1");
  auto body = decode_tdisp_body(header.type, in.subspan(TdispHeader::kSize));
  if (!body && body.error() == TdispError::kUnsupportedRequest)
    return fail(Errno::kOpNotSupp, "TDISP message code is unknown");
  if (!body) return fail(Errno::kInval, "TDISP message has the wrong length");
  return TdispMessage{header.function_id, std::move(*body), header.version};
}

Bytes encode_tdisp(const TdispMessage& message) {
  // At once, as TdispHeader::encode() has it: most messages are little else.
  std::array<std::byte, TdispHeader::kSize> header{};
  header[0] = static_cast<std::byte>(message.version);
  header[1] = static_cast<std::byte>(code_of(message.body));
  for (std::size_t i = 0; i < 4; ++i)
    header[4 + i] = static_cast<std::byte>(message.function_id.raw >> 8 * i);
  Writer w;
  w.bytes(header);
  std::visit([&w](const auto& body) { write(w, body); }, message.body);
  return w.take();
}

}  // namespace teeio::wire
