#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto/identity.h"
#include "spdm/requester.h"
#include "spdm/responder.h"
#include "wire/spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_error.h"

namespace teeio::spdm {

/// A device identity of each key type, made once a process.
inline const crypto::Pki& pki(crypto::KeyType type = crypto::KeyType::kP384) {
  static std::array<std::optional<crypto::Pki>, 16> made;
  auto& slot = made.at(static_cast<std::size_t>(type));
  if (!slot) slot.emplace(crypto::make_device_identity(7, type));
  return *slot;
}

inline Bytes bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// What an end was told, as names.
class Recorder final : public Observer {
 public:
  void received(std::uint32_t session, ByteView spdm) override { note("<", session, spdm); }
  void sent(std::uint32_t session, ByteView spdm) override { note(">", session, spdm); }
  void session_started(std::uint32_t id) override { started.push_back(id); }
  void session_ended(std::uint32_t id, SessionEnd reason) override {
    ended.emplace_back(id, reason);
  }

  std::vector<std::string> names;
  std::vector<std::uint32_t> started;
  std::vector<std::pair<std::uint32_t, SessionEnd>> ended;

 private:
  void note(std::string_view way, std::uint32_t session, ByteView spdm) {
    const auto header = wire::SpdmHeader::decode(spdm);
    names.push_back(std::string(way) + (session != kNoSession ? "s:" : "") +
                    (header ? std::string(wire::spdm_name(header->code)) : "?"));
  }
};

/// Both ends of one connection, joined by a wire that a test may bend.
class Ends {
 public:
  static ResponderConfig responder_config(crypto::KeyType type = crypto::KeyType::kP384) {
    static FixedMeasurements measurements(
        {{.index = 1, .type = 0, .value = bytes("rom"), .in_tcb = true},
         {.index = 2, .type = 1, .value = bytes("firmware"), .in_tcb = true},
         {.index = 5, .type = 3, .raw = true, .value = bytes("configuration"), .in_tcb = false}},
        bytes("a log of what was measured"));
    static std::array<std::optional<FixedCredentials>, 16> credentials;
    auto& held = credentials.at(static_cast<std::size_t>(type));
    if (!held) held.emplace(pki(type).device);
    ResponderConfig config;
    config.credentials = &*held;
    config.measurements = &measurements;
    return config;
  }
  static RequesterConfig requester_config(crypto::KeyType type = crypto::KeyType::kP384) {
    RequesterConfig config;
    config.trust_anchors = {pki(type).device.chain.first()};
    return config;
  }

  Ends() : Ends(requester_config(), responder_config()) {}
  Ends(RequesterConfig requester_settings, ResponderConfig responder_settings)
      : transport(responder_settings.settings.transport),
        requester(with(std::move(requester_settings), &requester_saw)),
        responder(with(std::move(responder_settings), &responder_saw)) {}

  /// Carries whatever is queued. Precondition on `bend`, if any: it changes a
  /// message on its way back.
  Result<void> run() {
    for (unsigned i = 0; const Message* request = requester.request(); ++i) {
      if (i > kMaxRounds) return fail(Errno::kLoop, "the exchange does not end");
      Message there = *request;
      if (bend_request) bend_request(there);
      const Bytes packet = wrap(transport, view(there));
      const auto arrived = unwrap(transport, packet);
      if (!arrived) return std::unexpected(arrived.error());
      auto step = responder.receive(*arrived);
      ++rounds;
      if (auto* app = std::get_if<AppRequest>(&step)) {
        apps.push_back(*app);
        auto answer = app_error ? responder.refuse(*app_error) : responder.answer(app->payload);
        if (!answer) return fail(Errno::kNxio, "no answer to the application message");
        step = std::move(*answer);
      }
      auto* answer = std::get_if<Message>(&step);
      if (answer == nullptr) return fail(Errno::kTimedOut, "the responder dropped the message");
      if (bend_answer) bend_answer(*answer);
      const Bytes back = wrap(transport, view(*answer));
      const auto returned = unwrap(transport, back);
      if (!returned) return std::unexpected(returned.error());
      TEEIO_TRY(requester.take(*returned));
    }
    if (const auto failure = requester.failure(); failure) return std::unexpected(*failure);
    return {};
  }

  Result<std::uint32_t> open_session(Requester::SessionWanted wanted = {}) {
    requester.connect();
    requester.get_certificates(wanted.slot);
    requester.open_session(wanted);
    TEEIO_TRY(run());
    return requester.last_session().value_or(kNoSession);
  }

  Result<Bytes> ask(std::uint32_t session, ByteView payload) {
    static constexpr std::array kPciSig{std::byte{1}, std::byte{0}};
    requester.send_app(session, 3, kPciSig, payload);
    TEEIO_TRY(run());
    const ByteView answer = requester.app_answer();
    return Bytes(answer.begin(), answer.end());
  }

  static constexpr unsigned kMaxRounds = 5000;
  Transport transport;
  Recorder requester_saw;
  Recorder responder_saw;
  Requester requester;
  Responder responder;
  std::function<void(Message&)> bend_request;
  std::function<void(Message&)> bend_answer;
  std::optional<std::uint8_t> app_error;
  std::vector<AppRequest> apps;
  unsigned rounds = 0;

 private:
  template <class Config>
  static Config with(Config config, Observer* observer) {
    config.observer = observer;
    return config;
  }
};

}  // namespace teeio::spdm
