#include "spdm/responder.h"

#include <algorithm>
#include <utility>

#include "spdm/responder_flow.h"
#include "spdm/responder_state.h"
#include "wire/spdm_dispatch.h"
#include "wire/spdm_error.h"

namespace teeio::spdm {
namespace {

bool is_of_negotiation(wire::SpdmCode code) {
  using enum wire::SpdmCode;
  return code == kGetVersion || code == kVersion || code == kGetCapabilities ||
         code == kCapabilities || code == kNegotiateAlgorithms || code == kAlgorithms;
}

/// Bytes of the message that `in` begins with; 0: it is none of those up to ALGORITHMS.
std::size_t size_of(ByteView in) {
  const auto header = wire::SpdmHeader::decode(in);
  if (!header || !is_of_negotiation(static_cast<wire::SpdmCode>(header->code))) return 0;
  std::size_t size = 0;
  (void)wire::visit_spdm_type(header->code, [&]<class M>() {
    if (const auto message = wire::decode_spdm_as<M>(in, {})) size = message->wire.size();
  });
  return size;
}

}  // namespace

using responder::Flow;
using responder::Session;
using wire::SpdmErrorCode;

Responder::Responder(ResponderConfig config)
    : state_(std::make_unique<responder::State>(std::move(config))) {}
Responder::Responder(Responder&&) noexcept = default;
Responder& Responder::operator=(Responder&&) noexcept = default;
Responder::~Responder() = default;

Responder::Step Responder::receive(const MessageView& message) {
  state_->app.reset();
  return message.secured ? responder::receive_secured(*state_, message.bytes)
                         : Flow(*state_, nullptr).receive(message.bytes);
}

std::optional<Message> Responder::answer(ByteView payload) {
  if (!state_->app) return std::nullopt;
  const auto app = *std::exchange(state_->app, std::nullopt);
  Session* session = state_->find(app.session);
  if (session == nullptr && app.session != kNoSession) return std::nullopt;
  return Flow(*state_, session).answer_app(app, payload);
}

std::optional<Message> Responder::refuse(std::uint8_t error_code, std::uint8_t data) {
  if (!state_->app) return std::nullopt;
  const auto app = *std::exchange(state_->app, std::nullopt);
  Session* session = state_->find(app.session);
  if (session == nullptr && app.session != kNoSession) return std::nullopt;
  return Flow(*state_, session).refuse_app(app, static_cast<SpdmErrorCode>(error_code), data);
}

void Responder::pass_time(std::uint32_t seconds) {
  std::vector<std::uint32_t> silent;
  for (const auto& session : state_->sessions) {
    if (!session->established || session->heartbeat_period_s == 0) continue;
    session->silent_s += std::min(seconds, 0xffffU);
    if (session->silent_s > 2U * session->heartbeat_period_s) silent.push_back(session->id);
  }
  for (const std::uint32_t id : silent) state_->end(id, SessionEnd::kHeartbeat);
}

void Responder::end_session(std::uint32_t session) { state_->end(session, SessionEnd::kOwner); }

void Responder::reset() { state_->reset(); }

ByteView Responder::kept_agreement() const {
  return state_->keeps_agreement() ? ByteView(state_->vca) : ByteView();
}

bool Responder::restore_agreement(ByteView message_a) {
  state_->forget();
  bool request = true;
  for (ByteView rest = message_a; !rest.empty(); request = !request) {
    const std::size_t size = size_of(rest);
    if (size == 0) break;
    if (request) (void)receive({.secured = false, .bytes = rest.first(size)});
    rest = rest.subspan(size);
  }
  if (std::ranges::equal(kept_agreement(), message_a) && !message_a.empty()) return true;
  state_->forget();
  return false;
}

void Responder::need_resynch() { state_->resynch = true; }

bool Responder::start_encapsulated(Encapsulated kind, std::uint32_t session) {
  using Purpose = responder::EncapsulatedFlow::Purpose;
  const auto purpose = kind == Encapsulated::kKeyUpdate ? Purpose::kKeyUpdate : Purpose::kInfo;
  if (session != kNoSession && state_->find(session) == nullptr) return false;
  if (purpose == Purpose::kKeyUpdate && session == kNoSession) return false;
  if (state_->phase != responder::Phase::kNegotiated) return false;
  responder::start_encapsulated(*state_, purpose, session, 0);
  return true;
}

std::optional<Negotiated> Responder::negotiated() const {
  if (state_->phase != responder::Phase::kNegotiated) return std::nullopt;
  return state_->agreed;
}

}  // namespace teeio::spdm
