#include "fuzzer.h"
#include "wire/tdisp_messages.h"

void teeio::fuzz::run(ByteView input) {
  const auto message = wire::decode_tdisp(input);
  if (!message) return;
  const auto back = wire::decode_tdisp(wire::encode_tdisp(*message));
  TEEIO_CHECK(back && *back == *message, "a TDISP message does not come back");
  if (const auto* error = std::get_if<wire::TdispErrorResponse>(&message->body))
    if (const auto vendor = wire::TdispVendorError::decode(error->extended))
      TEEIO_CHECK(vendor->encode() == error->extended, "a vendor's error does not come back");
}
