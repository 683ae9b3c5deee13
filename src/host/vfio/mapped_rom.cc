#include "host/vfio/mapped_rom.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "hw/capabilities.h"

namespace teeio::vfio {
namespace {

const hw::Bar& rom_of(hw::PciFunction& function) {
  TEEIO_CHECK(function.rom() != nullptr, "a function's ROM is mapped, and it has none");
  return *function.rom();
}

}  // namespace

MappedRom::MappedRom(hw::PciFunction& function) : function_(function), rom_(rom_of(function)) {
  function_.config_write(hw::kRomBar, 4,
                         static_cast<std::uint32_t>(raw(rom_.base)) | hw::kRomEnable);
}

/// pci_disable_rom(): the enable bit goes, whoever set it.
MappedRom::~MappedRom() {
  function_.config_write(hw::kRomBar, 4,
                         function_.config_read(hw::kRomBar, 4) & ~std::uint32_t{hw::kRomEnable});
}

void MappedRom::read(std::uint64_t offset, std::span<std::byte> out) const {
  constexpr std::uint64_t kMost = 4096;  // of an access
  while (!out.empty()) {
    const std::span<std::byte> part = out.first(std::min<std::uint64_t>(out.size(), kMost));
    rom_.target->mmio_read(offset, part);
    out = out.subspan(part.size());
    offset += part.size();
  }
}

template <class T>
T MappedRom::get(std::uint64_t offset) const {
  T value{};
  if (offset + sizeof(T) <= rom_.size) read(offset, writable_bytes_of(value));
  return value;
}

std::uint64_t MappedRom::size() const {
  constexpr std::uint16_t kSignature = 0xaa55;
  constexpr std::uint32_t kData = 0x5249'4350;  // "PCIR"
  constexpr std::uint64_t kDataPointer = 24, kImageLength = 16, kIndicator = 21, kUnit = 512;
  constexpr unsigned kLast = 0x80;
  std::uint64_t image = 0;
  for (;;) {
    if (get<std::uint16_t>(image) != kSignature) break;
    const std::uint64_t data = image + get<std::uint16_t>(image + kDataPointer);
    if (get<std::uint32_t>(data) != kData) break;
    const bool last = (get<std::uint8_t>(data + kIndicator) & kLast) != 0;
    const std::uint64_t length = get<std::uint16_t>(data + kImageLength);
    image += length * kUnit;
    if (image >= rom_.size || last || length == 0) break;
  }
  return std::min(image, rom_.size);
}

Result<std::size_t> read_images(hw::PciFunction& function, std::uint64_t offset,
                                std::span<std::byte> out) {
  const MappedRom rom(function);
  const std::uint64_t size = rom.size();
  if (size == 0) return fail(Errno::kIo, "the ROM has no image, or memory space is off");
  if (offset >= size) return 0;
  out = out.first(std::min<std::uint64_t>(out.size(), size - offset));
  rom.read(offset, out);
  return out.size();
}

}  // namespace teeio::vfio
