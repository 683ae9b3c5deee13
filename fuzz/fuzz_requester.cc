// Links: spdm
// A requester whose peer lies: one real responder, and answers that the input
// replaces or changes. The exchange ends within bounds whatever comes back.
#include <algorithm>
#include <array>

#include "crypto/identity.h"
#include "crypto/random.h"
#include "fuzzer.h"
#include "spdm/requester.h"
#include "spdm/responder.h"
#include "wire/spdm_capabilities.h"

namespace teeio::fuzz {
namespace {

using spdm::Message;

/// Chunks (1,024), portions and repetitions, each bounded by the requester's limits.
constexpr unsigned kMaxRounds = 20'000;

const crypto::Pki& pki() {
  static const crypto::Pki kPki = crypto::make_device_identity(1, crypto::KeyType::kP256);
  return kPki;
}

/// Replaces the answer, or overwrites a part of it.
void bend(Message& answer, Reader& input) {
  const auto how = input.le<std::uint8_t>();
  const auto at = input.le<std::uint8_t>();
  const ByteView data = input.take(input.le<std::uint8_t>());
  switch (how % 4) {
    case 0:
      answer.bytes.assign(data.begin(), data.end());
      break;
    case 1:
      for (std::size_t i = 0; i < data.size() && at + i < answer.bytes.size(); ++i)
        answer.bytes[at + i] = data[i];
      break;
    case 2:
      answer.bytes.resize(std::min<std::size_t>(at, answer.bytes.size()));
      break;
    case 3:
      break;  // this one is let through
  }
}

}  // namespace

void run(ByteView input) {
  (void)pki();
  const crypto::SeededRandom seeded(1);
  Reader reader(input);
  spdm::FixedCredentials credentials(pki().device);
  spdm::FixedMeasurements measurements({{.index = 1, .value = Bytes(9)}});
  spdm::RequesterConfig theirs;
  theirs.settings.versions = {static_cast<std::uint8_t>(0x10 + reader.le<std::uint8_t>() % 5)};
  theirs.settings.algorithms = spdm::Algorithms::p256();
  theirs.settings.data_transfer_size = 0x200;
  theirs.settings.max_message_size = 0x4000;
  theirs.settings.flags = spdm::default_requester_flags() | wire::kSpdmCapEncap |
                          wire::kSpdmCapCert | wire::kSpdmCapMutAuth | wire::kSpdmCapChal;
  theirs.credentials = &credentials;
  theirs.trust_anchors = {pki().device.chain.first()};
  spdm::ResponderConfig ours;
  ours.settings = theirs.settings;
  ours.settings.flags =
      spdm::default_responder_flags() | wire::kSpdmCapEncap | wire::kSpdmCapMutAuth;
  ours.credentials = &credentials;
  ours.measurements = &measurements;
  ours.mutual_auth = spdm::MutualAuth::kOptional;
  spdm::Requester requester(std::move(theirs));
  spdm::Responder responder(std::move(ours));

  requester.connect();
  requester.get_certificates(0);
  requester.challenge(0);
  requester.measure({});
  requester.open_session({});
  unsigned honest = reader.le<std::uint8_t>();  // answers before the first lie
  unsigned rounds = 0;
  while (const Message* request = requester.request()) {
    TEEIO_CHECK(++rounds < kMaxRounds, "a requester's work is bounded");
    auto step = responder.receive(view(*request));
    Message answer;
    if (auto* message = std::get_if<Message>(&step)) answer = std::move(*message);
    if (honest > 0) {
      --honest;
    } else if (reader.ok() && !reader.rest().empty()) {
      bend(answer, reader);
    }
    if (!requester.take(view(answer))) break;
  }
}

}  // namespace teeio::fuzz
