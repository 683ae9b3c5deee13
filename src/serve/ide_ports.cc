#include "serve/ide_ports.h"

#include <utility>

#include "wire/ide_km.h"

namespace teeio::serve {
namespace {

using wire::IdeKmMessage;

constexpr std::uint8_t kCardPort = 0;
constexpr std::uint8_t kNoPort = 1;  // of the card: it has one

/// Every message of IDE_KM names a port.
std::uint8_t port_of(const IdeKmMessage& message) {
  return std::visit([](const auto& m) { return m.port_index; }, message);
}
void set_port(IdeKmMessage& message, std::uint8_t port) {
  std::visit([port](auto& m) { m.port_index = port; }, message);
}

/// A port without streams knows none of the streams that it is asked about.
std::optional<Bytes> no_stream(const IdeKmMessage& request) {
  const auto* prog = std::get_if<wire::IdeKmKeyProg>(&request);
  if (prog == nullptr) return std::nullopt;
  const auto status =
      prog->key ? wire::KpAckStatus::kUnsupportedValue : wire::KpAckStatus::kIncorrectLength;
  return wire::encode_ide_km(wire::IdeKmKpAck{prog->stream_id, std::to_underlying(status),
                                              prog->selector, prog->port_index});
}

}  // namespace

std::optional<Bytes> IdePorts::answer(ByteView message, std::uint32_t session) {
  auto request = wire::decode_ide_km(message);
  if (own_ == kCardPort || !request)
    return card_.answer_message(wire::Protocol::kIdeKm, message, session);
  const std::uint8_t port = port_of(*request);
  const bool query = std::holds_alternative<wire::IdeKmQuery>(*request);
  if (port < own_ && !query) return no_stream(*request);
  // The message goes on as it came, but for the port: a KEY_PROG may have any length.
  Bytes moved(message.begin(), message.end());
  moved.at(query ? 2 : 6) = std::byte{port > own_ ? kNoPort : kCardPort};
  auto answer = card_.answer_message(wire::Protocol::kIdeKm, moved, session);
  auto response = answer ? wire::decode_ide_km(*answer) : fail(Errno::kInval, "no answer");
  if (!response) return answer;
  set_port(*response, port);
  if (auto* registers = std::get_if<wire::IdeKmQueryResp>(&*response)) {
    registers->max_port_index = own_;
    if (port < own_) registers->registers.clear();
  }
  return wire::encode_ide_km(*response);
}

}  // namespace teeio::serve
