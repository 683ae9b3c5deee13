#include "spdm/transport.h"

#include <utility>

#include "wire/doe.h"
#include "wire/transport_framing.h"

namespace teeio::spdm {
namespace {

Result<MessageView> unwrap_mctp(ByteView packet) {
  TEEIO_ASSIGN(const auto message, wire::MctpMessage::decode(packet));
  if (message.type == std::to_underlying(wire::MctpType::kSpdm))
    return MessageView{false, message.body};
  if (message.type == std::to_underlying(wire::MctpType::kSecured))
    return MessageView{true, message.body};
  return fail(Errno::kOpNotSupp, "MCTP message is neither SPDM nor secured SPDM");
}

Result<MessageView> unwrap_tcp(ByteView packet) {
  TEEIO_ASSIGN(const auto message, wire::TcpBindingMessage::decode(packet));
  if (message.type == std::to_underlying(wire::TcpBindingType::kOutOfSession))
    return MessageView{false, message.body};
  if (message.type == std::to_underlying(wire::TcpBindingType::kInSession))
    return MessageView{true, message.body};
  return fail(Errno::kOpNotSupp, "message over TCP is neither SPDM nor secured SPDM");
}

Result<MessageView> unwrap_doe(ByteView packet) {
  TEEIO_ASSIGN(const wire::DoeObject doe, wire::DoeObject::decode(packet));
  if (doe.vendor_id == wire::kPciSigVendorId) {
    if (doe.type == std::to_underlying(wire::DoeType::kSpdm))
      return MessageView{false, doe.payload};
    if (doe.type == std::to_underlying(wire::DoeType::kSecuredSpdm))
      return MessageView{true, doe.payload};
  }
  return fail(Errno::kOpNotSupp, "DOE data object is neither SPDM nor secured SPDM");
}

}  // namespace

Result<MessageView> unwrap(Transport transport, ByteView packet) {
  switch (transport) {
    case Transport::kNone:
      return MessageView{false, packet};
    case Transport::kMctp:
      return unwrap_mctp(packet);
    case Transport::kTcp:
      return unwrap_tcp(packet);
    case Transport::kPciDoe:
      return unwrap_doe(packet);
  }
  std::unreachable();
}

Bytes wrap(Transport transport, const MessageView& message) {
  switch (transport) {
    case Transport::kNone:
      return {message.bytes.begin(), message.bytes.end()};
    case Transport::kMctp: {
      const auto type = message.secured ? wire::MctpType::kSecured : wire::MctpType::kSpdm;
      return wire::MctpMessage{std::to_underlying(type), false, message.bytes}.encode();
    }
    case Transport::kTcp: {
      const auto type =
          message.secured ? wire::TcpBindingType::kInSession : wire::TcpBindingType::kOutOfSession;
      return wire::TcpBindingMessage{wire::TcpBindingMessage::kVersion, std::to_underlying(type),
                                     message.bytes}
          .encode();
    }
    case Transport::kPciDoe: {
      const auto type = message.secured ? wire::DoeType::kSecuredSpdm : wire::DoeType::kSpdm;
      return wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(type), message.bytes}
          .encode();
    }
  }
  std::unreachable();
}

}  // namespace teeio::spdm
