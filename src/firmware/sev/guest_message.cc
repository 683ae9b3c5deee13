#include "firmware/sev/guest_message.h"

#include "base/check.h"
#include "crypto/aead.h"
#include "firmware/sev/platform.h"

namespace teeio::sev {
namespace {

constexpr std::uint8_t kAes256Gcm = 1;
constexpr std::uint8_t kHeaderVersion = 1;
constexpr std::size_t kTagField = 32;  // of which the tag has 16
constexpr std::size_t kAssociatedAt = 0x30;

std::array<std::byte, crypto::kAeadNonceSize> nonce_of(std::uint64_t sequence) {
  std::array<std::byte, crypto::kAeadNonceSize> nonce{};
  const Bytes low = Writer().le(sequence).take();
  std::ranges::copy(low, nonce.begin());
  return nonce;
}

Bytes header_of(const GuestMessage& message, ByteView tag) {
  Writer out;
  out.bytes(tag).zeros(kTagField - tag.size()).le(message.sequence).zeros(8);
  out.le(kAes256Gcm).le(kHeaderVersion).le(static_cast<std::uint16_t>(GuestMessage::kHeaderSize));
  out.le(message.type).le(message.version);
  out.le(static_cast<std::uint16_t>(message.payload.size())).zeros(4).le(message.key);
  return out.zeros(35).take();
}

}  // namespace

Bytes GuestMessage::seal(const std::array<std::byte, 32>& message_key) const {
  TEEIO_CHECK(payload.size() <= kMaxPayload && key < GuestContext::kMessageKeys,
              "a guest message is too large or has no key");
  std::array<std::byte, crypto::kAeadTagSize> tag{};
  Bytes text = payload;
  const Bytes header = header_of(*this, tag);
  crypto::Aead aead(crypto::AeadAlgorithm::kAes256Gcm, crypto::Aead::Direction::kSeal, message_key);
  aead.seal(nonce_of(sequence), ByteView(header).subspan(kAssociatedAt), text, tag);
  return Writer().bytes(header_of(*this, tag)).bytes(text).take();
}

Result<SealedMessage> SealedMessage::decode(ByteView page) {
  if (page.size() < GuestMessage::kHeaderSize) return fail(Errno::kInval, "a message is short");
  SealedMessage sealed;
  GuestMessage& message = sealed.message;
  std::ranges::copy(page.subspan(kAssociatedAt, sealed.associated.size()),
                    sealed.associated.begin());
  std::ranges::copy(page.first(sealed.tag.size()), sealed.tag.begin());
  Reader in(page.subspan(kTagField));
  message.sequence = in.le<std::uint64_t>();
  in.skip(8);
  const auto algorithm = in.le<std::uint8_t>();
  const auto version = in.le<std::uint8_t>();
  const auto header = in.le<std::uint16_t>();
  message.type = in.le<std::uint8_t>();
  message.version = in.le<std::uint8_t>();
  const auto size = in.le<std::uint16_t>();
  in.skip(4);
  message.key = in.le<std::uint8_t>();
  in.skip(35);
  const ByteView payload = in.take(size);
  if (!in.ok() || algorithm != kAes256Gcm || version != kHeaderVersion ||
      header != GuestMessage::kHeaderSize || message.key >= GuestContext::kMessageKeys ||
      size > GuestMessage::kMaxPayload)
    return fail(Errno::kInval, "a guest message's header is wrong");
  message.payload.assign(payload.begin(), payload.end());
  return sealed;
}

Result<GuestMessage> SealedMessage::open(const std::array<std::byte, 32>& message_key) const {
  GuestMessage opened = message;
  crypto::Aead aead(crypto::AeadAlgorithm::kAes256Gcm, crypto::Aead::Direction::kOpen, message_key);
  TEEIO_TRY(aead.open(nonce_of(message.sequence), associated, opened.payload, tag));
  return opened;
}

}  // namespace teeio::sev
