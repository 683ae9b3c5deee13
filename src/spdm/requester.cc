#include "spdm/requester.h"

#include <utility>

#include "spdm/requester_pump.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"

namespace teeio::spdm {

using namespace requester;

Requester::Requester(RequesterConfig config) : state_(std::make_unique<State>(std::move(config))) {}
Requester::Requester(Requester&&) noexcept = default;
Requester& Requester::operator=(Requester&&) noexcept = default;
Requester::~Requester() = default;

void Requester::connect() { push_connect(*state_); }
void Requester::get_digests(std::uint32_t session) { push_digests(*state_, session); }
void Requester::get_certificates(std::uint8_t slot, std::uint32_t session) {
  push_certificates(*state_, slot, session);
}
void Requester::challenge(std::uint8_t slot, MeasurementSummary summary) {
  push_challenge(*state_, slot, summary);
}
void Requester::measure(MeasurementsWanted wanted) { push_measure(*state_, wanted); }
void Requester::open_session(SessionWanted wanted) { push_session(*state_, wanted); }
void Requester::open_psk_session(Psk psk, MeasurementSummary summary) {
  push_psk_session(*state_, std::move(psk), summary);
}
void Requester::heartbeat(std::uint32_t session) { push_heartbeat(*state_, session); }
void Requester::update_keys(std::uint32_t session, KeyUpdate which) {
  push_key_update(*state_, session, which);
}
void Requester::end_session(std::uint32_t session) { push_end_session(*state_, session); }
void Requester::send_app(std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
                         ByteView payload) {
  push_app(*state_, session, standard_id, vendor_id, payload);
}
Result<Message> Requester::seal_app(std::uint32_t session, std::uint16_t standard_id,
                                    ByteView vendor_id, ByteView payload) {
  return requester::seal_app(*state_, session, standard_id, vendor_id, payload);
}
Result<Bytes> Requester::open_app(std::uint32_t session, std::uint16_t standard_id,
                                  ByteView vendor_id, const MessageView& answer) {
  return requester::open_app(*state_, session, standard_id, vendor_id, answer);
}
void Requester::get_extension_log(std::uint32_t session) { push_extension_log(*state_, session); }
void Requester::answer_encapsulated(std::uint32_t session) { push_encapsulated(*state_, session); }
void Requester::send_raw(std::uint32_t session, Bytes request) {
  push_raw(*state_, session, std::move(request));
}

const Message* Requester::request() { return Pump(*state_).request(); }
std::uint64_t Requester::wait_us() const {
  return state_->transfer ? state_->transfer->wait_us : 0;
}
Result<void> Requester::take(const MessageView& answer) { return Pump(*state_).take(answer); }

std::optional<Error> Requester::failure() const { return state_->failure; }

void Requester::cancel() {
  state_->queue.clear();
  state_->transfer.reset();
  state_->failure.reset();
  if (state_->opening != kNoSession) state_->end(state_->opening, SessionEnd::kHandshake);
}

void Requester::reset() {
  cancel();
  state_->forget();
}

std::optional<Negotiated> Requester::negotiated() const {
  if (!state_->connected) return std::nullopt;
  return state_->agreed;
}
std::optional<std::uint32_t> Requester::last_session() const { return state_->last_opened; }
bool Requester::has_session(std::uint32_t session) const {
  const Session* found = std::as_const(*state_).find(session);
  return found != nullptr && found->established;
}
const PeerChain* Requester::peer_chain(std::uint8_t slot) const {
  const PeerSlot& found = state_->slots.at(slot);
  return found.verified ? &found.shown : nullptr;
}
std::uint8_t Requester::slot_mask() const { return state_->slot_mask; }
ByteView Requester::digest(std::uint8_t slot) const { return state_->slots.at(slot).digest; }
const MeasurementRecord& Requester::measurement_record() const { return state_->measured; }
const std::string& Requester::chain_problem() const { return state_->chain_problem; }
ByteView Requester::measurement_summary() const { return state_->summary; }
ByteView Requester::extension_log() const { return state_->log; }
ByteView Requester::app_answer() const { return state_->app_answer; }
ByteView Requester::raw_answer() const { return state_->raw_answer; }
ByteView Requester::last_events() const { return state_->events; }
std::optional<Requester::PeerError> Requester::last_error() const { return state_->peer_error; }

}  // namespace teeio::spdm
