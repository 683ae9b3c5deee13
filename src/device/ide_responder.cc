#include "device/ide_responder.h"

#include <fmt/format.h>

#include <utility>

#include "crypto/secret.h"

namespace teeio::device {
namespace {

using wire::KpAckStatus;

constexpr std::uint8_t kPort = 0;  // an end point's only port
constexpr std::uint64_t kInitialIfv = 1;
constexpr std::string_view kForeign = "the keys of the port belong to another SPDM session";

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

/// The port has the key now; no other copy stays (DMTF/spdm-emu issue 294).
void forget_key(wire::IdeKmMessage& message) {
  auto* program = std::get_if<wire::IdeKmKeyProg>(&message);
  if (program != nullptr && program->key) crypto::wipe(program->key->key);
}

hw::IdeKeySlot slot_of(wire::IdeKeySelector selector) {
  return {.key_set = static_cast<std::uint8_t>(selector.key_set()),
          .direction = hw::IdeKeySlot::Direction{std::to_underlying(selector.direction())},
          .sub_stream = hw::IdeKeySlot::SubStream{std::to_underlying(selector.sub_stream())}};
}

}  // namespace

IdeResponder::IdeResponder(object::Trace& trace, Bdf bdf, hw::ConfigSpace& config,
                           std::size_t streams, const hw::IdeOffer& offer, Listener& listener)
    : trace_(trace),
      bdf_(bdf),
      config_(config),
      port_(config, streams, offer),
      listener_(listener),
      seen_(streams) {}

std::expected<Bytes, std::string_view> IdeResponder::answer(ByteView request,
                                                            std::uint32_t session) {
  auto message = wire::decode_ide_km(request);
  if (!message) return std::unexpected(message.error().why);
  auto call =
      trace_.call(object::Lane::kDevice, wire::kIdeKmMessages.at(message->index()).name,
                  {.detail = std::visit([](const auto& m) { return describe(m); }, *message),
                   .function = bdf_});
  Answer answer = std::unexpected(kForeign);
  if (!owner_ || *owner_ == session)
    answer = std::visit([this](const auto& m) { return handle(m); }, *message);
  forget_key(*message);
  if (!answer) {
    call.refuse("IDE_KM_REFUSED", answer.error());
    return std::unexpected(answer.error());
  }
  if (const auto* ack = std::get_if<wire::IdeKmKpAck>(&*answer)) {
    if (ack->status == 0)
      owner_ = session;
    else
      call.refuse("KP_ACK", wire::kp_ack_why(ack->status));
  }
  return wire::encode_ide_km(*answer);
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmQuery& query) {
  if (query.port_index != kPort) return std::unexpected("port index is above the only port");
  wire::IdeKmQueryResp answer{kPort,    static_cast<std::uint8_t>(bdf_.rid()),
                              bdf_.bus, static_cast<std::uint8_t>(bdf_.domain),
                              kPort,    {}};
  for (unsigned at = 4; at < port_.size_bytes(); at += 4)
    answer.registers.push_back(config_.read(static_cast<std::uint16_t>(port_.offset() + at), 4));
  return answer;
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKeyProg& request) {
  return wire::IdeKmKpAck{request.stream_id, std::to_underlying(program(request)), request.selector,
                          request.port_index};
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKSetGo& request) {
  const auto block = block_for(request);
  if (!block) return std::unexpected("no key of that port, stream and sub-stream");
  if (const auto gone = port_.go(*block, slot_of(request.selector)); !gone)
    return std::unexpected(gone.error().why);
  look_again("key-set-go");
  return wire::IdeKmKGoStopAck{request.stream_id, request.selector, request.port_index};
}

IdeResponder::Answer IdeResponder::handle(const wire::IdeKmKSetStop& request) {
  const auto block = block_for(request);
  if (!block) return std::unexpected("no key of that port, stream and sub-stream");
  (void)port_.stop(*block, slot_of(request.selector));  // fails only if not in use
  look_again("key-set-stop");
  return wire::IdeKmKGoStopAck{request.stream_id, request.selector, request.port_index};
}

template <class Response>
IdeResponder::Answer IdeResponder::handle(const Response& /*response*/) {
  return std::unexpected("IDE_KM response sent as a request");
}

KpAckStatus IdeResponder::program(const wire::IdeKmKeyProg& request) {
  if (request.port_index != kPort) return KpAckStatus::kUnsupportedPort;
  if (!request.key) return KpAckStatus::kIncorrectLength;
  const auto block = block_for(request);
  if (!block || request.key->ifv != kInitialIfv) return KpAckStatus::kUnsupportedValue;
  if (!port_.program_key(*block, slot_of(request.selector), request.key->key))
    return KpAckStatus::kUnspecifiedFailure;
  return KpAckStatus::kSuccess;
}

template <class Message>
std::optional<std::size_t> IdeResponder::block_for(const Message& message) const {
  if (message.port_index != kPort || !message.selector.valid()) return std::nullopt;
  return port_.find(message.stream_id);
}

std::optional<std::string_view> IdeResponder::lock_fault(std::uint8_t stream_id,
                                                         std::uint32_t session) const {
  const auto block = port_.find(stream_id);
  if (!block) return "there is no such stream";
  if (port_.is_link(*block)) return "the stream is a link stream";
  if (port_.state(*block) != hw::IdeStreamState::kEnabled)
    return "the stream is not enabled with all its keys in use";
  if (owner_ != session) return "the keys of the stream belong to another SPDM session";
  if (port_.traffic_class(*block) != 0) return "the stream is not on TC0";
  return std::nullopt;
}

void IdeResponder::session_ended(std::uint32_t session) {
  if (owner_ != session) return;
  owner_.reset();
  for (std::size_t block = 0; block < port_.blocks(); ++block) port_.forget_keys(block);
  look_again("session-ended");
}

bool IdeResponder::contains(std::uint16_t offset) const {
  return offset >= port_.offset() && offset < port_.offset() + port_.size_bytes();
}

void IdeResponder::registers_written() {
  port_.registers_written();
  look_again("stream-disabled");
}

void IdeResponder::reset() {
  owner_.reset();
  for (std::size_t block = 0; block < port_.blocks(); ++block) (void)port_.release(block);
  look_again("conventional-reset");
}

void IdeResponder::look_again(std::string_view cause) {
  for (std::size_t block = 0; block < seen_.size(); ++block) {
    const Seen now{port_.state(block) == hw::IdeStreamState::kEnabled, port_.stream_id(block)};
    const Seen before = std::exchange(seen_[block], now);
    if (before.secure && (!now.secure || now.stream_id != before.stream_id))
      listener_.stream_lost(before.stream_id, cause);
  }
}

}  // namespace teeio::device
