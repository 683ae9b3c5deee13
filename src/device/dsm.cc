#include "device/dsm.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "crypto/secret.h"
#include "wire/doe.h"

namespace teeio::device {
namespace {

using wire::DoeType;

constexpr std::uint16_t kNoVendor = 0xffff;

}  // namespace

Dsm::Dsm(object::Trace& trace, Bdf pf0, hw::ConfigSpace& config, std::size_t streams,
         std::unique_ptr<spdm::ResponderChannel> channel)
    : channel_(std::move(channel)),
      ide_(trace, pf0, config, streams, *this),
      tdisp_(trace, pf0.domain, ide_) {}

Bytes Dsm::answer(ByteView object) {
  const auto doe = wire::DoeObject::decode(object);
  if (!doe || doe->vendor_id != wire::kPciSigVendorId) return {};
  if (doe->type == std::to_underlying(DoeType::kDiscovery)) return answer_discovery(doe->payload);
  const auto types = channel_->object_types();
  if (std::ranges::find(types, doe->type) == types.end()) return {};
  auto opened = channel_->open(object);
  if (auto* reply = std::get_if<Bytes>(&opened)) return std::move(*reply);
  return answer_app(std::get<spdm::AppMessage>(opened));
}

Bytes Dsm::answer_discovery(ByteView payload) const {
  const auto request = wire::DoeDiscoveryRequest::decode(payload);
  if (!request) return {};
  const auto types = channel_->object_types();  // at indices 1, 2, …
  wire::DoeDiscoveryResponse response{kNoVendor, 0, 0};
  if (request->index <= types.size()) {
    const auto next = static_cast<std::uint8_t>(request->index + 1);
    response.vendor_id = wire::kPciSigVendorId;
    response.type =
        request->index == 0 ? std::to_underlying(DoeType::kDiscovery) : types[request->index - 1U];
    response.next_index = next <= types.size() ? next : std::uint8_t{0};
  }
  return wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(DoeType::kDiscovery),
                         response.encode()}
      .encode();
}

Bytes Dsm::answer_app(spdm::AppMessage& message) {
  switch (message.protocol) {
    case wire::Protocol::kIdeKm: {
      auto answer = ide_.answer(message.bytes, message.session);
      crypto::wipe(message.bytes);  // KEY_PROG
      if (!answer) return channel_->seal_refusal();
      return channel_->seal({message.protocol, std::move(*answer), message.session});
    }
    case wire::Protocol::kTdisp:
      if (message.bytes.size() < wire::TdispHeader::kSize) return channel_->seal_refusal();
      return channel_->seal(
          {message.protocol, tdisp_.answer(message.bytes, message.session), message.session});
  }
  std::unreachable();
}

void Dsm::reset() {
  channel_->reset();
  ide_.reset();
}

void Dsm::session_ended(std::uint32_t session) {
  ide_.session_ended(session);
  for (Tdi* tdi : tdisp_.tdis())
    if (tdi->session() == session) tdi->violate("session-ended");
}

void Dsm::stream_lost(std::uint8_t stream_id, std::string_view cause) {
  for (Tdi* tdi : tdisp_.tdis())
    if (tdi->uses(stream_id)) tdi->violate(cause);
}

}  // namespace teeio::device
