#include "firmware/tdx/messages.h"

#include <array>

#include "base/check.h"
#include "wire/doe.h"

namespace teeio::tdx {

Checked<Bytes> read_object(Leaf& leaf, Hpa page, Operand operand) {
  TDX_TRY(leaf.shared_page(page, operand));
  std::array<std::byte, kPageSize> bytes{};
  if (!leaf.s.memory.read(page, bytes)) return leaf.refuse("shared", operand);
  Reader reader(bytes);
  (void)reader.le<std::uint32_t>();
  const std::size_t size = std::size_t{reader.le<std::uint32_t>() & 0x3ffffU} * 4;
  if (size < wire::DoeObject::kHeaderSize || size > bytes.size())
    return leaf.refuse("object", operand);
  return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

Checked<Bytes> open_message(Leaf& leaf, SpdmSession& spdm, wire::Protocol protocol, ByteView object,
                            std::string_view content) {
  const auto plain = spdm.channel->open(protocol, object);
  if (plain) return *plain;
  const bool authentic = plain.error().code != Errno::kAcces;
  return leaf.refuse_because(authentic ? content : "authentic", plain.error().why);
}

void write_object(Leaf& leaf, Hpa page, ByteView object) {
  TEEIO_CHECK(object.size() <= kPageSize, "a request fits its page");
  // A host that gives its page to a TD meanwhile loses the message, no more.
  (void)leaf.s.memory.write(page, object);
}

std::uint64_t message_register(std::uint8_t code, std::uint8_t detail, std::size_t bytes) {
  return std::uint64_t{code} | std::uint64_t{detail} << 8U |
         static_cast<std::uint64_t>(bytes) << 32U;
}

}  // namespace teeio::tdx
