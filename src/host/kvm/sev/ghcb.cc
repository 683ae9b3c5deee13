#include "host/kvm/sev/ghcb.h"

#include <algorithm>
#include <cstring>

namespace teeio::kvm {
namespace {

constexpr std::size_t kValidBitmap = 0x3f0;
constexpr std::size_t kValidBytes = 16;
constexpr std::size_t kUsage = 0xffc;

}  // namespace

Result<Ghcb> Ghcb::read(hw::PhysicalMemory& memory, const hw::GuestMapping& at) {
  Ghcb ghcb;
  TEEIO_TRY(memory.read(at.address, ghcb.page_, at.key));
  return ghcb;
}

std::optional<std::uint64_t> Ghcb::get(Field field) const {
  const std::size_t offset = std::to_underlying(field);
  const std::size_t bit = offset / sizeof(std::uint64_t);
  const auto byte = std::to_integer<unsigned>(page_.at(kValidBitmap + bit / 8));
  if ((byte >> (bit % 8) & 1U) == 0) return std::nullopt;
  return Reader(ByteView(page_).subspan(offset)).le<std::uint64_t>();
}

std::uint32_t Ghcb::usage() const {
  return Reader(ByteView(page_).subspan(kUsage)).le<std::uint32_t>();
}

void Ghcb::set(Field field, std::uint64_t value) {
  std::memcpy(page_.data() + std::to_underlying(field), &value, sizeof value);
}

Result<void> Ghcb::write(hw::PhysicalMemory& memory, const hw::GuestMapping& at) {
  std::ranges::fill(std::span(page_).subspan(kValidBitmap, kValidBytes), std::byte{0});
  return memory.write(at.address, page_, at.key);
}

}  // namespace teeio::kvm
