#include "fuzzer.h"
#include "wire/spdm.h"
#include "wire/spdm_error.h"
#include "wire/spdm_vendor_defined.h"

void teeio::fuzz::run(ByteView input) {
  (void)wire::SpdmError::decode(input);
  if (const auto version = wire::SpdmVersionResponse::decode(input)) {
    const auto back = wire::SpdmVersionResponse::decode(version->encode());
    TEEIO_CHECK(back && back->versions == version->versions, "VERSION does not come back");
  }
  const auto message = wire::VendorDefined::decode(input);
  if (!message) return;
  const Bytes again = message->encode();
  const auto back = wire::VendorDefined::decode(again);
  TEEIO_CHECK(back && back->protocol == message->protocol &&
                  std::ranges::equal(back->message, message->message),
              "a vendor-defined message does not come back");
}
