#include "device/ide_responder.h"

#include <fmt/format.h>

#include <utility>

namespace teeio::device {
namespace {

using wire::KpAckStatus;

constexpr std::uint8_t kPort = 0;  // an end point's only port

std::string describe(const wire::IdeKmKeyProg& request) {
  return fmt::format("stream={} key={:#04x}", request.stream_id, request.selector.raw);
}
template <wire::IdeKmObject Object>
std::string describe(const wire::IdeKmKeySet<Object>& request) {
  return fmt::format("stream={} key={:#04x}", request.stream_id, request.selector.raw);
}
template <class Message>
std::string describe(const Message& /*message*/) {
  return {};
}

}  // namespace

IdeResponder::IdeResponder(object::Trace& trace, Bdf bdf, IdeCapability& capability,
                           Listener& listener)
    : trace_(trace),
      bdf_(bdf),
      capability_(capability),
      listener_(listener),
      streams_(capability.slots()) {}

std::expected<Bytes, std::string_view> IdeResponder::answer(ByteView request) {
  const auto message = wire::decode_ide_km(request);
  if (!message) return std::unexpected(message.error().why);
  auto call =
      trace_.call(object::Lane::kDevice, wire::kIdeKmMessages.at(message->index()).name,
                  {.detail = std::visit([](const auto& m) { return describe(m); }, *message),
                   .function = bdf_});
  const Answer answer = std::visit([this](const auto& m) { return handle(m); }, *message);
  if (!answer) {
    call.refuse("IDE_KM_REFUSED", answer.error());
    return std::unexpected(answer.error());
  }
  if (const auto* ack = std::get_if<wire::IdeKmKpAck>(&*answer); ack && ack->status != 0)
    call.refuse("KP_ACK", wire::kp_ack_why(ack->status));
  return wire::encode_ide_km(*answer);
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmQuery& query) {
  if (query.port_index != kPort) return std::unexpected("port index is above the only port");
  const std::uint16_t rid = bdf_.rid();
  return wire::IdeKmQueryResp{kPort,    static_cast<std::uint8_t>(rid),
                              bdf_.bus, static_cast<std::uint8_t>(bdf_.domain),
                              kPort,    capability_.registers()};
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKeyProg& request) {
  return wire::IdeKmKpAck{request.stream_id, std::to_underlying(program(request)), request.selector,
                          request.port_index};
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKSetGo& request) {
  const auto slot = slot_for(request);
  if (!slot) return std::unexpected("no key of that port, stream and sub-stream");
  if (!streams_[*slot].keys.go(request.selector))
    return std::unexpected("key was never programmed");
  refresh(*slot, "key-set-go");
  return wire::IdeKmKGoStopAck{request.stream_id, request.selector, request.port_index};
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKSetStop& request) {
  const auto slot = slot_for(request);
  if (!slot) return std::unexpected("no key of that port, stream and sub-stream");
  streams_[*slot].keys.stop(request.selector);
  refresh(*slot, "key-set-stop");
  return wire::IdeKmKGoStopAck{request.stream_id, request.selector, request.port_index};
}

template <class Response>
IdeResponder::Answer IdeResponder::handle(const Response& /*response*/) {
  return std::unexpected("IDE_KM response sent as a request");
}

KpAckStatus IdeResponder::program(const wire::IdeKmKeyProg& request) {
  if (request.port_index != kPort) return KpAckStatus::kUnsupportedPort;
  if (!request.key) return KpAckStatus::kIncorrectLength;
  const auto slot = slot_for(request);
  if (!slot || request.key->ifv != 1) return KpAckStatus::kUnsupportedValue;
  if (!streams_[*slot].keys.program(request.selector, *request.key))
    return KpAckStatus::kUnspecifiedFailure;
  return KpAckStatus::kSuccess;
}

template <class Message>
std::optional<unsigned> IdeResponder::slot_for(const Message& message) const {
  if (message.port_index != kPort || !message.selector.valid()) return std::nullopt;
  return capability_.slot_of(message.stream_id);
}

bool IdeResponder::keys_ready(std::uint8_t stream_id) const {
  const auto slot = capability_.slot_of(stream_id);
  return slot && streams_[*slot].keys.ready();
}

void IdeResponder::capability_written() {
  for (unsigned slot = 0; slot < streams_.size(); ++slot) {
    Stream& stream = streams_[slot];
    const bool renamed = capability_.stream_id(slot) != stream.stream_id;
    const bool disabled = stream.secure && !capability_.enabled(slot);
    if (renamed || disabled) stream.keys.clear();  // PCIe Base Spec 6.33.4
    refresh(slot, "stream-disabled");
  }
}

void IdeResponder::reset() {
  for (unsigned slot = 0; slot < streams_.size(); ++slot) {
    streams_[slot].keys.clear();
    refresh(slot, "conventional-reset");
  }
}

void IdeResponder::refresh(unsigned slot, std::string_view cause) {
  Stream& stream = streams_[slot];
  const bool ready = stream.keys.ready();
  const bool secure = ready && capability_.enabled(slot);
  const bool lost = (stream.ready && !ready) || (stream.secure && !secure);
  const std::uint8_t lost_id = std::exchange(stream.stream_id, capability_.stream_id(slot));
  stream.ready = ready;
  stream.secure = secure;
  capability_.set_secure(slot, secure);
  if (lost) listener_.stream_lost(lost_id, cause);
}

}  // namespace teeio::device
