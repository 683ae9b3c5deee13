#include "device/io_ports.h"

#include <algorithm>

namespace teeio::device {
namespace {

constexpr std::uint64_t kIdPort = 0x00, kIndexPort = 0x04, kDataPort = 0x08, kScratchPorts = 0x10;
constexpr std::uint32_t kIdOfPorts = 0x314f'4950;  // "PIO1"

}  // namespace

bool IoPorts::answers(std::uint64_t offset, std::size_t size) const {
  return (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset + size <= kPorts &&
         enabled_.load();
}

std::uint32_t IoPorts::read_port(std::uint64_t offset) {
  if (offset == kIdPort) return kIdOfPorts;
  if (offset == kIndexPort) return index_.load();
  if (offset >= kScratchPorts) return scratch_.at((offset - kScratchPorts) / 4).load();
  if (offset != kDataPort) return 0;
  std::uint32_t value = 0;
  memory_.read(index_.load(), writable_bytes_of(value));
  return value;
}

void IoPorts::write_port(std::uint64_t offset, std::uint32_t value) {
  if (offset == kIndexPort)
    index_.store(value & static_cast<std::uint32_t>(memory_.size() - 1) & ~3U);
  else if (offset == kDataPort)
    memory_.write(index_.load(), bytes_of(value));
  else if (offset >= kScratchPorts)
    scratch_.at((offset - kScratchPorts) / 4).store(value);
}

void IoPorts::mmio_read(std::uint64_t offset, std::span<std::byte> out) {
  if (!answers(offset, out.size())) {
    std::ranges::fill(out, std::byte{0xff});
    return;
  }
  const std::uint32_t word = read_port(offset & ~std::uint64_t{3});
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::byte>(word >> 8U * ((offset + i) % 4));
}

void IoPorts::mmio_write(std::uint64_t offset, ByteView in) {
  if (!answers(offset, in.size())) return;
  const std::uint64_t port = offset & ~std::uint64_t{3};
  std::uint32_t word = in.size() == 4 ? 0 : read_port(port);
  for (std::size_t i = 0; i < in.size(); ++i) {
    const auto shift = static_cast<unsigned>(8 * ((offset + i) % 4));
    word = (word & ~(0xffU << shift)) | std::to_integer<std::uint32_t>(in[i]) << shift;
  }
  write_port(port, word);
}

void IoPorts::reset() {
  index_.store(0);
  for (auto& word : scratch_) word.store(0);
}

}  // namespace teeio::device
