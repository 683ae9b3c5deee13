#include "fuzzer.h"
#include "spdm_sizes.h"
#include "wire/spdm_dispatch.h"

// A byte that chooses the negotiated sizes, then an SPDM message. The struct of
// its code must decode it or refuse it; what it decoded must encode to something
// that decodes to the same again, and never claim more bytes than there are.
namespace teeio::fuzz {
namespace {

template <class Message>
void check_message(ByteView message, const wire::SpdmSizes& sizes) {
  const auto first = wire::decode_spdm_as<Message>(message, sizes);
  if (!first) return;
  TEEIO_CHECK(first->wire.data() == message.data() && first->wire.size() <= message.size(),
              "a message is no beginning of its input");
  const Bytes again = first->encode();
  const auto second = wire::decode_spdm_as<Message>(again, sizes);
  TEEIO_CHECK(second.has_value(), "what was encoded does not decode");
  TEEIO_CHECK(second->wire.size() == again.size(), "a message does not take all it encoded");
  TEEIO_CHECK(second->encode() == again, "a message does not come back");
}

}  // namespace

void run(ByteView input) {
  if (input.empty()) return;
  const wire::SpdmSizes sizes = sizes_of(std::to_integer<std::uint8_t>(input.front()));
  const ByteView message = input.subspan(1);
  const auto header = wire::SpdmHeader::decode(message);
  if (!header) return;
  wire::visit_spdm_type(header->code,
                        [&]<class Message>() { check_message<Message>(message, sizes); });
  (void)wire::VendorDefined::decode(message);
}

}  // namespace teeio::fuzz
