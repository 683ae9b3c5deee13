// Links: host/vfio
#include <string_view>

#include "fuzzer.h"
#include "host/vfio/device_name.h"

// The text that VFIO_GROUP_GET_DEVICE_FD takes from a program.
void teeio::fuzz::run(ByteView input) {
  constexpr std::string_view kBdf = "0000:01:00.1";
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are text here.
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto name = vfio::DeviceName::parse(text, kBdf);
  if (!name) return;
  TEEIO_CHECK(!name->matches || text.starts_with(kBdf), "another function's name matches");
  TEEIO_CHECK(name->matches || !name->token, "a name that does not match has a token");
}
