#pragma once

#include <variant>

#include "spdm/responder_state.h"
#include "spdm/responder_table.h"

namespace teeio::spdm::responder {

/// How one message travels through the responder: what may come now, to which
/// handler, and how the answer goes out (whole or in chunks; sealed or not).
///
/// Lifetime: one message.
class Flow {
 public:
  Flow(State& state, Session* session)
      : state_(state), session_id_(session != nullptr ? session->id : kNoSession) {}

  /// A whole SPDM message, decrypted.
  Responder::Step receive(ByteView message);
  /// The answer to an AppRequest.
  std::optional<Message> answer_app(const State::PendingApp& app, ByteView payload);
  std::optional<Message> refuse_app(const State::PendingApp& app, wire::SpdmErrorCode code,
                                    std::uint8_t data);
  /// ERROR; nullopt when it could not be sealed.
  std::optional<Message> error(const Refusal& refusal);

 private:
  using Outcome = std::variant<Bytes, Refusal, AppRequest>;

  [[nodiscard]] Session* session() { return state_.find(session_id_); }
  Responder::Step finish(Outcome outcome);
  std::optional<Message> send(Bytes answer);
  std::optional<Message> seal(ByteView application);
  static Responder::Step step(std::optional<Message> message);
  Bytes encode(const Refusal& refusal) const;

  Outcome process(ByteView request);
  Outcome tampered(ByteView request, Outcome outcome);
  Outcome dispatch(ByteView request);
  Outcome handle(const wire::SpdmHeader& header, ByteView request);
  Outcome vendor_defined(ByteView request);
  Outcome respond_if_ready(ByteView request);
  Outcome chunk_send(ByteView request);
  Outcome last_chunk();
  Outcome chunk_get(ByteView request);
  [[nodiscard]] std::size_t verify_data(const Row& row) const;
  std::optional<Refusal> refuse_early(const Row& row, const wire::SpdmHeader& header);
  std::optional<Refusal> refuse_place(const Row& row);
  void note(const Row& row);
  [[nodiscard]] bool should_defer(const wire::SpdmHeader& header) const;
  Bytes acknowledge(const State::PendingApp& app, Bytes answer);
  Bytes acknowledge(std::uint8_t handle, std::uint32_t sequence, Bytes answer, bool early_error);
  /// The answer if it fits into `limit` bytes, else the first step of fetching it
  /// in chunks, else ERROR.
  Bytes fit(Bytes answer, std::uint32_t limit);
  [[nodiscard]] std::uint32_t transfer_limit() const;

  State& state_;
  const std::uint32_t session_id_;
};

/// A secured message.
Responder::Step receive_secured(State& state, ByteView record);

}  // namespace teeio::spdm::responder
