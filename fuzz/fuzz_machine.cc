// Links: machine
#include <string_view>

#include "fuzzer.h"
#include "machine/config.h"

// A machine file. It is refused with words that name the file, or has what a machine needs: it
// is read a second time as it was the first.
void teeio::fuzz::run(ByteView input) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are text here.
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto config = machine::parse_config(text, "f.toml");
  if (!config) {
    TEEIO_CHECK(config.error().find("f.toml") != std::string::npos, "a refusal without a place");
    return;
  }
  const auto again = machine::parse_config(text, "f.toml");
  TEEIO_CHECK(again && again->cards == config->cards, "a machine file is read in two ways");
}
