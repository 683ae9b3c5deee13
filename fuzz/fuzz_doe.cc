#include "fuzzer.h"
#include "wire/doe.h"

void teeio::fuzz::run(ByteView input) {
  (void)wire::DoeDiscoveryRequest::decode(input);
  (void)wire::DoeDiscoveryResponse::decode(input);
  const auto object = wire::DoeObject::decode(input);
  if (!object) return;
  const Bytes again = object->encode();
  const auto back = wire::DoeObject::decode(again);
  TEEIO_CHECK(back && std::ranges::equal(back->payload, object->payload), "DOE does not come back");
}
