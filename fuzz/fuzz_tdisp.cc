#include "fuzzer.h"
#include "wire/tdisp_messages.h"

void teeio::fuzz::run(ByteView input) {
  const auto message = wire::decode_tdisp(input);
  if (!message) return;
  const auto back = wire::decode_tdisp(wire::encode_tdisp(*message));
  TEEIO_CHECK(back && *back == *message, "a TDISP message does not come back");
}
