#include "cli/psk_argument.h"

#include <span>

namespace teeio::cli {

std::expected<spdm::Psk, std::string> parse_psk(const std::string& text) {
  const auto mark = text.find('=');
  if (mark == std::string::npos || mark == 0 || mark + 1 == text.size())
    return std::unexpected(text + ": must be HINT=KEY");
  constexpr std::size_t kMostHint = 0xffff;  // PSK_EXCHANGE has two bytes for its length
  if (mark >= kMostHint) return std::unexpected("a pre-shared key's HINT has at most 65534 bytes");
  const auto bytes = [](const std::string& part) {
    const auto view = std::as_bytes(std::span(part.c_str(), part.size() + 1));
    return Bytes(view.begin(), view.end());
  };
  return spdm::Psk{bytes(text.substr(0, mark)), bytes(text.substr(mark + 1))};
}

}  // namespace teeio::cli
