// Links: spdm
// Arbitrary requests to a responder: in the clear, and, once a real requester has
// opened a session, sealed as only that requester can. Whatever it was told, the
// responder still answers GET_VERSION afterwards.
#include <array>

#include "crypto/identity.h"
#include "crypto/random.h"
#include "fuzzer.h"
#include "spdm/requester.h"
#include "spdm/responder.h"
#include "wire/spdm.h"
#include "wire/spdm_capabilities.h"

namespace teeio::fuzz {
namespace {

using spdm::Message;

constexpr unsigned kMaxMessages = 64;

const crypto::Pki& pki() {
  static const crypto::Pki kPki = crypto::make_device_identity(1, crypto::KeyType::kP256);
  return kPki;
}

/// Takes and keeps whatever the responder lets through.
class Flash final : public spdm::Provisioning {
 public:
  Result<Bytes> csr(const Key& key, ByteView info, ByteView /*opaque*/) override {
    if (key.pair > 1 || info.size() > kMostInfo)
      return fail(Errno::kInval, "there is no such key pair");
    return Bytes(info.begin(), info.end());
  }
  Result<void> set_chain(std::uint8_t /*slot*/, const Key& key, std::uint8_t /*model*/,
                         ByteView /*chain*/) override {
    if (key.pair > 1) return fail(Errno::kInval, "there is no such key pair");
    return {};
  }
  Result<KeyPair> key_pair(const Key& key) override {
    if (key.pair != 1) return fail(Errno::kInval, "there is no such key pair");
    KeyPair told{.total = 1, .capabilities = 0xffff, .usage = usage_, .slot_mask = slots_};
    if (usage_ != 0) told.key = pki().device.key.public_key();
    return told;
  }
  Result<void> set_pair(const Key& /*key*/, const PairWish& wish) override {
    usage_ = wish.usage;
    slots_ = wish.slot_mask;
    if (slots_ == 0xff) return fail(Errno::kBusy, "a slot is in the way");
    return {};
  }

 private:
  static constexpr std::size_t kMostInfo = 64;
  std::uint16_t usage_ = 0xf;
  std::uint8_t slots_ = 1;
};

struct Ends {
  explicit Ends(std::uint8_t version) {
    settings.versions = {version};
    settings.algorithms = spdm::Algorithms::p256();
    settings.max_message_size = 0x4000;
    spdm::RequesterConfig theirs;
    theirs.settings = settings;
    theirs.settings.flags = spdm::default_requester_flags() | wire::kSpdmCapEncap |
                            wire::kSpdmCapCert | wire::kSpdmCapMutAuth | wire::kSpdmCapChal;
    theirs.credentials = &credentials;
    spdm::ResponderConfig ours;
    ours.settings = settings;
    ours.settings.flags = spdm::default_responder_flags() | wire::kSpdmCapEncap |
                          wire::kSpdmCapMutAuth | wire::kSpdmCapGetKeyPairInfo |
                          wire::kSpdmCapSetKeyPairInfo | wire::kSpdmCapCsr | wire::kSpdmCapSetCert |
                          wire::kSpdmCapEvent;
    ours.provisioning = &flash;
    ours.credentials = &credentials;
    ours.measurements = &measurements;
    ours.mutual_auth = spdm::MutualAuth::kOptional;
    ours.psks = {{Bytes(4), Bytes(16)}};
    requester.emplace(std::move(theirs));
    responder.emplace(std::move(ours));
  }

  /// nullopt: dropped.
  std::optional<Message> deliver(const spdm::MessageView& message) {
    auto step = responder->receive(message);
    if (std::holds_alternative<spdm::AppRequest>(step)) return responder->answer(Bytes(20));
    auto* answer = std::get_if<Message>(&step);
    return answer != nullptr ? std::optional(std::move(*answer)) : std::nullopt;
  }
  void run_honestly() {
    for (unsigned i = 0; i < kMaxMessages; ++i) {
      const Message* request = requester->request();
      if (request == nullptr) return;
      const auto answer = deliver(view(*request));
      if (!answer || !requester->take(view(*answer))) return;
    }
  }

  spdm::Settings settings;
  spdm::FixedCredentials credentials{pki().device};
  Flash flash;
  spdm::FixedMeasurements measurements{{{.index = 1, .value = Bytes(9)}}};
  std::optional<spdm::Requester> requester;
  std::optional<spdm::Responder> responder;
};

}  // namespace

/// Version and how far a real requester goes first; then messages, each behind a
/// byte (bit 0: sealed) and its length.
void run(ByteView input) {
  (void)pki();
  const crypto::SeededRandom seeded(1);
  Reader reader(input);
  const auto version = static_cast<std::uint8_t>(0x10 + reader.le<std::uint8_t>() % 5);
  const auto begin = reader.le<std::uint8_t>() % 3;
  Ends ends(version);
  if (begin > 0) ends.requester->connect();
  if (begin > 1) {
    ends.requester->get_certificates(0);
    ends.requester->open_session({});
  }
  ends.run_honestly();
  const auto session = ends.requester->last_session();
  for (unsigned i = 0; i < kMaxMessages && reader.ok() && !reader.rest().empty(); ++i) {
    const auto flags = reader.le<std::uint8_t>();
    const ByteView message = reader.take(reader.le<std::uint16_t>());
    if ((flags & 1U) == 0 || !session || !ends.requester->has_session(*session)) {
      (void)ends.deliver({(flags & 2U) != 0, message});
      continue;
    }
    ends.requester->send_raw(*session, Bytes(message.begin(), message.end()));
    ends.run_honestly();
    ends.requester->cancel();
  }
  const auto answer = ends.deliver({false, wire::encode_spdm_get_version()});
  TEEIO_CHECK(answer && wire::SpdmVersionResponse::decode(answer->bytes),
              "a responder always answers GET_VERSION");
}

}  // namespace teeio::fuzz
