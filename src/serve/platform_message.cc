#include "serve/platform_message.h"

#include <bit>
#include <utility>

namespace teeio::serve {
namespace {

constexpr std::pair<PlatformTransport, std::string_view> kTransports[] = {
    {PlatformTransport::kNone, "none"},
    {PlatformTransport::kMctp, "mctp"},
    {PlatformTransport::kPciDoe, "doe"},
    {PlatformTransport::kTcp, "tcp"},
};

}  // namespace

std::string_view name(PlatformTransport transport) {
  for (const auto& [candidate, text] : kTransports)
    if (candidate == transport) return text;
  std::unreachable();
}

std::optional<PlatformTransport> parse_transport(std::string_view text) {
  for (const auto& [transport, name] : kTransports)
    if (name == text) return transport;
  return std::nullopt;
}

std::optional<PlatformHeader> PlatformHeader::decode(ByteView in) {
  Reader reader(in);
  PlatformHeader header;
  header.command = std::byteswap(reader.le<std::uint32_t>());
  header.transport = std::byteswap(reader.le<std::uint32_t>());
  header.size = std::byteswap(reader.le<std::uint32_t>());
  if (!reader.ok()) return std::nullopt;
  return header;
}

Bytes platform_message(PlatformCommand command, std::uint32_t transport, ByteView payload) {
  Writer writer;
  writer.le(std::byteswap(std::to_underlying(command)))
      .le(std::byteswap(transport))
      .le(std::byteswap(static_cast<std::uint32_t>(payload.size())))
      .bytes(payload);
  return writer.take();
}

}  // namespace teeio::serve
