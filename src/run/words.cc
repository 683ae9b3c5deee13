#include "run/words.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string_view>

namespace teeio::run {
namespace {

struct Flag {
  std::uint32_t value;
  std::string_view name;
};
#define TEEIO_FLAG(name) \
  Flag { static_cast<std::uint32_t>(name), #name }

// Those that have the bits of others come first.
constexpr Flag kOpenFlags[] = {
    TEEIO_FLAG(O_TMPFILE),  TEEIO_FLAG(O_CREAT),   TEEIO_FLAG(O_EXCL),    TEEIO_FLAG(O_NOCTTY),
    TEEIO_FLAG(O_TRUNC),    TEEIO_FLAG(O_APPEND),  TEEIO_FLAG(O_SYNC),    TEEIO_FLAG(O_DSYNC),
    TEEIO_FLAG(O_NONBLOCK), TEEIO_FLAG(O_ASYNC),   TEEIO_FLAG(O_DIRECT),  TEEIO_FLAG(O_DIRECTORY),
    TEEIO_FLAG(O_NOFOLLOW), TEEIO_FLAG(O_NOATIME), TEEIO_FLAG(O_CLOEXEC), TEEIO_FLAG(O_PATH)};
constexpr std::uint32_t kLargeFile = 0100000;  // what the kernel adds; libc has 0 for it
constexpr Flag kProtections[] = {TEEIO_FLAG(PROT_READ), TEEIO_FLAG(PROT_WRITE),
                                 TEEIO_FLAG(PROT_EXEC)};
constexpr Flag kMapFlags[] = {
    TEEIO_FLAG(MAP_SHARED_VALIDATE), TEEIO_FLAG(MAP_SHARED),    TEEIO_FLAG(MAP_PRIVATE),
    TEEIO_FLAG(MAP_FIXED),           TEEIO_FLAG(MAP_ANONYMOUS), TEEIO_FLAG(MAP_LOCKED),
    TEEIO_FLAG(MAP_NORESERVE),       TEEIO_FLAG(MAP_POPULATE),  TEEIO_FLAG(MAP_FIXED_NOREPLACE)};

std::string hex(std::uint32_t value) {
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "%#x", value);
  return text.data();
}

std::string flags_text(std::string text, std::span<const Flag> flags, std::uint32_t value) {
  const auto add = [&text](std::string_view name) {
    if (!text.empty()) text += '|';
    text += name;
  };
  for (const Flag& flag : flags) {
    if ((value & flag.value) != flag.value) continue;
    add(flag.name);
    value &= ~flag.value;
  }
  if (value != 0) add(hex(value));
  return text;
}

std::string escaped(std::uint8_t byte, bool digit_follows) {
  switch (byte) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  if (byte >= ' ' && byte <= '~') return {static_cast<char>(byte)};
  std::array<char, 8> text{};
  (void)std::snprintf(text.data(), text.size(), digit_follows ? "\\%03o" : "\\%o", byte);
  return text.data();
}

}  // namespace

std::string open_flags_text(std::uint32_t flags) {
  constexpr std::array<std::string_view, 4> kModes = {"O_RDONLY", "O_WRONLY", "O_RDWR",
                                                      "O_ACCMODE"};
  const std::uint32_t rest = flags & ~static_cast<std::uint32_t>(O_ACCMODE) & ~kLargeFile;
  return flags_text(std::string(kModes.at(flags & O_ACCMODE)), kOpenFlags, rest);
}

std::string protection_text(std::uint32_t protection) {
  return protection == PROT_NONE ? "PROT_NONE" : flags_text({}, kProtections, protection);
}

std::string map_flags_text(std::uint32_t flags) { return flags_text({}, kMapFlags, flags); }

std::string quoted(ByteView bytes, std::size_t all) {
  const std::size_t shown = std::min(bytes.size(), kShownBytes);
  std::string text = "\"";
  for (std::size_t i = 0; i < shown; ++i) {
    const auto next = i + 1 < shown ? static_cast<char>(bytes[i + 1]) : ' ';
    text += escaped(static_cast<std::uint8_t>(bytes[i]), next >= '0' && next <= '9');
  }
  text += '"';
  return shown < all ? text + "..." : text;
}

}  // namespace teeio::run
