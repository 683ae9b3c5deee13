// Links: sweep
#include <string_view>

#include "fuzzer.h"
#include "sweep/outcome.h"

// Lines that a process of `teeio sweep` says, and those of --resume.
void teeio::fuzz::run(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (const auto outcome = sweep::parse_outcome(text))
    TEEIO_CHECK(sweep::parse_outcome(sweep::to_json(*outcome)).has_value(),
                "an outcome cannot be read back");
  if (const auto point = sweep::parse_point(text))
    TEEIO_CHECK(sweep::parse_point(sweep::to_json(*point)) == *point, "a point does not come back");
}
