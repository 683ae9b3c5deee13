// Links: run
#include <string_view>

#include "fuzzer.h"
#include "run/injection.h"

// A SPEC of --inject: any text is one or has a reason, and one is what it writes.
void teeio::fuzz::run(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto injection = teeio::run::parse_injection(text);
  if (!injection) {
    TEEIO_CHECK(!injection.error().why.empty(), "a SPEC is refused without a reason");
    return;
  }
  const auto again = teeio::run::parse_injection(injection->str());
  TEEIO_CHECK(again && *again == *injection, "a SPEC is not what it writes");
}
