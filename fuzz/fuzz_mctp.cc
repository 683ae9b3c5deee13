// Links: decode
#include "decode/mctp_assembler.h"
#include "fuzzer.h"

// MCTP packets of a bus: each input is a list of them, two bytes of header (the tag byte, and
// who sends to whom) and a byte of length before each payload. What is put together is what
// its packets carried, no more than the limit, and an error loses one message at most.
void teeio::fuzz::run(ByteView input) {
  using decode::MctpAssembler;
  MctpAssembler assembler;
  std::size_t carried = 0;
  std::size_t packet = 0;
  Reader reader(input);
  while (reader.ok()) {
    const auto tag = reader.le<std::uint8_t>();
    const auto ends = reader.le<std::uint8_t>();
    const auto length = reader.le<std::uint8_t>();
    if (!reader.ok() || reader.rest().size() < length) return;
    const ByteView payload = reader.take(length);
    wire::MctpPacketHeader header{};
    header.source = ends & 0xfU;
    header.destination = ends >> 4U;
    header.flags = tag;
    carried += payload.size();
    const auto message = assembler.add(header, payload, ++packet);
    const auto unfinished = assembler.unfinished();
    TEEIO_CHECK(!unfinished || (*unfinished > 0 && *unfinished <= packet), "no packet of these");
    if (!message || !*message) continue;
    TEEIO_CHECK((*message)->size() <= carried, "a message has more than its packets carried");
    TEEIO_CHECK((*message)->size() <= MctpAssembler::kMaxMessage, "a message above the limit");
    TEEIO_CHECK((tag & MctpAssembler::kEnd) != 0, "a message without its end");
  }
}
