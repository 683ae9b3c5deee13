// Links: spdm
#include "fuzzer.h"
#include "spdm/secured_session.h"

// Secured messages of a peer: first as they come, which must not open unless they
// are the genuine one; then with a genuine tag around the same bytes, so that
// what is behind the authentication is reached as well.
namespace teeio::fuzz {
namespace {

using namespace spdm;

constexpr Derivation kHow{0x12, crypto::HashAlgorithm::kSha256};

const KeySchedule& keys() {
  static const KeySchedule made = KeySchedule::from_exchange(kHow, Bytes(32), crypto::Digest(32));
  return made;
}

struct Shape {
  explicit Shape(std::byte choice)
      : bits(std::to_integer<unsigned>(choice)),
        config{.id = 0xfffeffff,
               .sealing = Direction::kResponses,
               .derivation = kHow,
               .sequence_bytes = static_cast<std::uint8_t>((bits & 3U) * 2),
               .encrypted = (bits & 4U) == 0} {}
  [[nodiscard]] bool is_updating() const { return (bits & 8U) != 0; }
  unsigned bits;
  SessionConfig config;
};

SecuredSession responder(const Shape& shape) {
  SecuredSession session(shape.config, keys().handshake());
  if (shape.is_updating()) (void)session.begin_update(Direction::kRequests);
  return session;
}

/// The record that a requester makes of `message`, for the key in use.
Bytes genuine(const Shape& shape, ByteView message) {
  SessionConfig config = shape.config;
  config.sealing = Direction::kRequests;
  SecuredSession requester(config, keys().handshake());
  if (shape.is_updating()) (void)requester.begin_update(Direction::kRequests);
  return *requester.seal(message);
}

void as_it_comes(const Shape& shape, ByteView record) {
  SecuredSession session = responder(shape);
  Bytes in_place(record.begin(), record.end());
  const auto opened = session.open(record);
  SecuredSession again = responder(shape);
  const auto viewed = again.open_in_place(in_place);
  TEEIO_CHECK(opened.has_value() == viewed.has_value(), "two ways of opening differ");
  if (!opened || shape.is_updating()) return;
  const Bytes expected = genuine(shape, *opened);
  TEEIO_CHECK(record.size() >= expected.size() &&
                  std::ranges::equal(record.first(expected.size()), expected),
              "a forged record opens");
}

/// Any text with a genuine tag: an application length that lies must be refused.
void with_a_tag(const Shape& shape, ByteView text) {
  SecuredSession session = responder(shape);
  if (!shape.config.encrypted || text.size() > 0xffef) return;
  const TrafficKey key = session.current_key(Direction::kRequests);
  crypto::Aead sealer(shape.config.aead, crypto::Aead::Direction::kSeal, key.key.view());
  const auto length = static_cast<std::uint16_t>(text.size() + crypto::kAeadTagSize);
  Bytes record = Writer().le(shape.config.id).zeros(shape.config.sequence_bytes).le(length).take();
  const std::size_t header = record.size();
  record.insert(record.end(), text.begin(), text.end());
  record.resize(record.size() + crypto::kAeadTagSize);
  const std::span<std::byte> all(record);
  const crypto::Aead::Nonce nonce(key.iv.view().data(), crypto::kAeadNonceSize);
  sealer.seal(nonce, all.first(header), all.subspan(header, text.size()),
              crypto::Aead::Tag(all.last(crypto::kAeadTagSize).data(), crypto::kAeadTagSize));
  Reader in(text);
  const auto claimed = in.le<std::uint16_t>();
  const bool honest = in.ok() && claimed <= in.rest().size();
  const auto opened = session.open(record);
  TEEIO_CHECK(opened.has_value() == honest, "an application length is misjudged");
  TEEIO_CHECK(!honest || std::ranges::equal(*opened, in.rest().first(claimed)),
              "a message does not come back");
}

}  // namespace

void run(ByteView input) {
  if (input.empty()) return;
  const Shape shape(input.front());
  (void)SecuredSession::session_id_of(input.subspan(1));
  as_it_comes(shape, input.subspan(1));
  with_a_tag(shape, input.subspan(1));
}

}  // namespace teeio::fuzz
