#include <string_view>

#include "fuzzer.h"
#include "wire/key_log.h"
#include "wire/pcap.h"

// A capture, or a line of a key log: files that somebody hands to `teeio decode`.
void teeio::fuzz::run(ByteView input) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are text here.
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (const auto line = wire::KeyLogLine::parse(text)) {
    const auto back = wire::KeyLogLine::parse(line->text());
    TEEIO_CHECK(back && *back == *line, "a line of a key log does not come back");
  }
  wire::ViewSource file(input);
  auto reader = wire::PcapReader::open(file);
  if (!reader) return;
  for (;;) {
    const auto packet = reader->next();
    if (!packet || !*packet) return;
    (void)(*packet)->encode();
    (void)wire::pcapng_packet(0, **packet);
  }
}
