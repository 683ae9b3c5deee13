#include "device/expansion_rom.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace teeio::device {
namespace {

constexpr std::uint64_t kUnit = 512;
constexpr std::uint16_t kDataAt = 0x1c;
constexpr std::uint16_t kDataBytes = 0x1c;
constexpr std::uint8_t kFarReturn = 0xcb;  // the entry point of a PC's firmware
constexpr std::uint8_t kRevision3 = 3;
constexpr std::uint8_t kForPcs = 0;
constexpr std::uint8_t kLastImage = 0x80;

Bytes rom_image(const hw::Identity& identity, std::string_view text) {
  constexpr auto kUnits = static_cast<std::uint8_t>(ExpansionRom::kImageBytes / kUnit);
  Writer w;
  w.le(std::uint16_t{0xaa55}).le(kUnits).le(kFarReturn);
  while (w.size() < 0x18) w.le(std::uint8_t{0});
  w.le(kDataAt).le(std::uint16_t{0});
  w.le(std::uint32_t{0x5249'4350});  // "PCIR"
  w.le(identity.vendor).le(identity.device).le(std::uint16_t{0}).le(kDataBytes).le(kRevision3);
  for (const unsigned shift : {0U, 8U, 16U})
    w.le(static_cast<std::uint8_t>(identity.class_code >> shift));
  w.le(std::uint16_t{kUnits}).le(std::uint16_t{1}).le(kForPcs).le(kLastImage);
  w.le(std::uint16_t{kUnits}).le(std::uint32_t{0});
  Bytes image = w.take();
  for (const char letter : text) image.push_back(static_cast<std::byte>(letter));
  image.resize(ExpansionRom::kImageBytes);
  // All bytes together are zero.
  const unsigned sum = std::accumulate(
      image.begin(), image.end(), 0U,
      [](unsigned so_far, std::byte byte) { return so_far + std::to_integer<unsigned>(byte); });
  image.back() = static_cast<std::byte>(0x100U - (sum & 0xffU));
  return image;
}

}  // namespace

ExpansionRom::ExpansionRom(const hw::Identity& identity, std::string_view text,
                           std::function<bool()> answers)
    : image_(rom_image(identity, text)), answers_(std::move(answers)) {}

void ExpansionRom::mmio_read(std::uint64_t offset, std::span<std::byte> out) {
  std::ranges::fill(out, std::byte{0xff});
  if (!answers_() || offset >= image_.size()) return;
  const std::uint64_t length = std::min<std::uint64_t>(out.size(), image_.size() - offset);
  std::ranges::copy(ByteView(image_).subspan(offset, length), out.begin());
}

}  // namespace teeio::device
