#include <algorithm>

#include "fuzzer.h"
#include "wire/secured_message.h"
#include "wire/transport_framing.h"

// Secured messages, MCTP and DSP0287: whatever is around an SPDM message.
namespace teeio::fuzz {
namespace {

void check_secured(ByteView in, std::size_t sequence_size) {
  const auto message = wire::SecuredMessage::decode(in, sequence_size);
  if (!message) return;
  const std::size_t body = message->ciphertext.size() + message->tag.size();
  TEEIO_CHECK(wire::encode_secured_header(message->session_id, message->sequence, body) ==
                  Bytes(message->associated.begin(), message->associated.end()),
              "a secured message's header does not come back");
  if (const auto plain = wire::SecuredPlaintext::decode(message->ciphertext))
    TEEIO_CHECK(plain->encode().size() == message->ciphertext.size(), "plaintext changed its size");
}

/// Of a message that is nothing but a type, two lengths are taken and one is written.
void check_tcp_binding(ByteView in) {
  const auto message = wire::TcpBindingMessage::decode(in);
  if (!message) return;
  const Bytes encoded = message->encode();
  const auto again = wire::TcpBindingMessage::decode(encoded);
  TEEIO_CHECK(again && again->type == message->type && again->encode() == encoded &&
                  std::ranges::equal(again->body, message->body),
              "a DSP0287 message does not come back");
}

}  // namespace

void run(ByteView input) {
  check_secured(input, 0);
  check_secured(input, 2);
  if (const auto mctp = wire::MctpMessage::decode(input))
    TEEIO_CHECK(mctp->encode().size() == input.size(), "an MCTP message does not come back");
  (void)wire::MctpPacketHeader::decode(input);
  check_tcp_binding(input);
}

}  // namespace teeio::fuzz
