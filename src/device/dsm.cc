#include "device/dsm.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "crypto/secret.h"
#include "spdm/session_channel.h"
#include "wire/doe.h"
#include "wire/ide_km.h"
#include "wire/spdm.h"
#include "wire/tdisp.h"

namespace teeio::device {
namespace {

using wire::DoeType;

constexpr std::uint16_t kNoVendor = 0xffff;

std::unique_ptr<spdm::ResponderChannel> make_channel(const DsmSpdm& setup, Attester& attester) {
  if (!setup.sessions) return spdm::make_plain_responder();
  spdm::ResponderConfig config;
  config.settings = setup.settings;
  config.settings.transport = spdm::Transport::kPciDoe;
  config.credentials = &attester;
  config.measurements = &attester;
  config.observer = &attester;
  return spdm::make_session_responder(std::move(config));
}

std::string_view name_of(wire::Protocol protocol, ByteView message) {
  if (protocol == wire::Protocol::kTdisp)
    return message.size() < wire::TdispHeader::kSize
               ? "TDISP"
               : wire::tdisp_name(wire::TdispHeader::decode(message).value().type);
  return message.empty() ? "IDE_KM" : wire::ide_km_name(std::to_integer<std::uint8_t>(message[0]));
}

}  // namespace

Dsm::Dsm(object::Trace& trace, Bdf pf0, hw::ConfigSpace& config, std::size_t streams,
         const DsmSpdm& spdm, const hw::IdeOffer& offer)
    : attester_(trace, pf0, spdm, *this),
      channel_(make_channel(spdm, attester_)),
      ide_(trace, pf0, config, streams, offer, *this),
      tdisp_(trace, pf0.domain, ide_) {}

Bytes Dsm::answer(ByteView object) {
  last_message_ = "an object";
  if (speaker_ != nullptr) return speaker_->answer(object);
  const auto doe = wire::DoeObject::decode(object);
  if (!doe || doe->vendor_id != wire::kPciSigVendorId) return {};
  if (doe->type == std::to_underlying(DoeType::kDiscovery)) {
    last_message_ = "DOE_DISCOVERY";
    return answer_discovery(doe->payload);
  }
  const auto types = channel_->object_types();
  if (std::ranges::find(types, doe->type) == types.end()) return {};
  auto opened = channel_->open(object);
  last_message_ = attester_.last_request();
  if (auto* reply = std::get_if<Bytes>(&opened)) return std::move(*reply);
  auto& message = std::get<spdm::AppMessage>(opened);
  last_message_ = name_of(message.protocol, message.bytes);
  auto reply = answer_message(message.protocol, message.bytes, message.session);
  crypto::wipe(message.bytes);  // a KEY_PROG has a key in it
  if (!reply) return channel_->seal_refusal();
  return channel_->seal({message.protocol, std::move(*reply), message.session});
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

std::optional<Bytes> Dsm::answer_message(wire::Protocol protocol, ByteView message,
                                         std::uint32_t session) {
  switch (protocol) {
    case wire::Protocol::kIdeKm: {
      auto answer = ide_.answer(message, session);
      return answer ? std::optional(std::move(*answer)) : std::nullopt;
    }
    case wire::Protocol::kTdisp:
      if (message.size() < wire::TdispHeader::kSize) return std::nullopt;
      return tdisp_.answer(message, session);
  }
  std::unreachable();
}

Bytes Dsm::interfaces() const {
  Writer out;
  for (const Tdi* tdi : tdisp_.tdis())
    out.le(tdi->bdf().rid()).le(std::to_underlying(tdi->view().state)).le(tdi->lock_flags());
  return out.take();
}

void Dsm::reset() {
  channel_->reset();
  if (speaker_ != nullptr) speaker_->reset();
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

std::vector<std::string_view> message_names() {
  constexpr unsigned kFirstRequest = 0x80;  // of SPDM and TDISP
  std::vector<std::string_view> names = {"an object", "DOE_DISCOVERY", "TDISP", "IDE_KM"};
  for (unsigned code = kFirstRequest; code <= UINT8_MAX; ++code)
    for (const std::string_view name : {wire::spdm_name(static_cast<std::uint8_t>(code)),
                                        wire::tdisp_name(static_cast<std::uint8_t>(code))})
      if (!name.ends_with("_UNKNOWN")) names.push_back(name);
  for (const auto object : {wire::IdeKmObject::kQuery, wire::IdeKmObject::kKeyProg,
                            wire::IdeKmObject::kKSetGo, wire::IdeKmObject::kKSetStop})
    names.push_back(wire::ide_km_name(std::to_underlying(object)));
  for (const std::string_view unknown : {"SPDM_UNKNOWN", "TDISP_UNKNOWN", "IDE_KM_UNKNOWN"})
    names.push_back(unknown);
  return names;
}

}  // namespace teeio::device
