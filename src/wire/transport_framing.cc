#include "wire/transport_framing.h"

#include <utility>

#include "base/check.h"

namespace teeio::wire {
namespace {

/// Role-Inquiry, or an error, those included that nobody has named yet.
bool is_discovery(std::uint8_t tcp_type) {
  return tcp_type >= std::to_underlying(TcpBindingType::kRoleInquiry);
}

}  // namespace

Result<MctpMessage> MctpMessage::decode(ByteView in) {
  if (in.empty()) return fail(Errno::kInval, "MCTP message has no type");
  const auto first = std::to_integer<std::uint8_t>(in.front());
  return MctpMessage{static_cast<std::uint8_t>(first & 0x7fU), (first & 0x80U) != 0, in.subspan(1)};
}

Bytes MctpMessage::encode() const {
  TEEIO_CHECK(type < 0x80, "an MCTP message type has seven bits");
  Writer w;
  w.le(static_cast<std::uint8_t>(type | (integrity_check ? 0x80U : 0U))).bytes(body);
  return w.take();
}

Result<MctpPacketHeader> MctpPacketHeader::decode(ByteView in) {
  Reader r(in);
  MctpPacketHeader h;
  h.header_version = r.le<std::uint8_t>();
  h.destination = r.le<std::uint8_t>();
  h.source = r.le<std::uint8_t>();
  h.flags = r.le<std::uint8_t>();
  if (!r.ok()) return fail(Errno::kInval, "MCTP packet header is short");
  return h;
}

void MctpPacketHeader::append_to(Writer& w) const {
  w.le(header_version).le(destination).le(source).le(flags);
}

std::size_t TcpBindingMessage::size_of(ByteView in) {
  if (in.size() < 2) return 0;
  const std::size_t length = Reader(in).le<std::uint16_t>();
  return length == 0 ? kHeaderSize : 2 + length;
}

Result<TcpBindingMessage> TcpBindingMessage::decode(ByteView in) {
  if (in.size() < kHeaderSize || size_of(in) != in.size())
    return fail(Errno::kInval, "DSP0287 message is not as long as it says");
  Reader r(in.subspan(2));
  TcpBindingMessage m;
  m.version = r.le<std::uint8_t>();
  m.type = r.le<std::uint8_t>();
  m.body = r.rest();
  if (m.version != kVersion) return fail(Errno::kOpNotSupp, "DSP0287 version is not 1");
  if (in[0] == std::byte{0} && in[1] == std::byte{0} && !is_discovery(m.type))
    return fail(Errno::kInval, "DSP0287 message has no SPDM message");
  return m;
}

Bytes TcpBindingMessage::encode() const {
  TEEIO_CHECK(body.size() <= kMaxBody, "DSP0287 has two bytes for its length");
  Writer w;
  const std::size_t length = is_discovery(type) && body.empty() ? 0 : body.size() + 2;
  w.le(static_cast<std::uint16_t>(length)).le(version).le(type).bytes(body);
  return w.take();
}

}  // namespace teeio::wire
