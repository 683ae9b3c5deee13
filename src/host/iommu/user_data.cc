#include "host/iommu/user_data.h"

#include <algorithm>
#include <array>

namespace teeio::iommu {
namespace {

/// check_zeroed_user(), piece by piece.
Result<void> check_tail(UserData& data, std::uint32_t index, std::uint32_t from) {
  std::array<std::byte, 256> piece{};
  while (from < data.length()) {
    const std::span<std::byte> part =
        std::span(piece).first(std::min<std::size_t>(piece.size(), data.length() - from));
    TEEIO_TRY(data.read(index, from, part));
    if (std::ranges::any_of(part, [](std::byte b) { return b != std::byte{0}; }))
      return fail(Errno::kTooBig, "the driver's structure has fields that it does not know");
    from += static_cast<std::uint32_t>(part.size());
  }
  return {};
}

}  // namespace

Result<void> copy_struct(UserData& data, std::uint32_t index, std::uint32_t type,
                         std::uint32_t minimum, std::span<std::byte> out) {
  if (data.length() < minimum || data.length() > out.size())
    return fail(Errno::kInval, "the driver's structure is too short or too long");
  return copy_any_struct(data, index, type, out);
}

Result<void> copy_any_struct(UserData& data, std::uint32_t index, std::uint32_t type,
                             std::span<std::byte> out) {
  if (data.type() != type || index >= data.count())
    return fail(Errno::kInval, "the data is not of the driver's type");
  if (data.length() > out.size())
    TEEIO_TRY(check_tail(data, index, static_cast<std::uint32_t>(out.size())));
  std::ranges::fill(out, std::byte{0});
  return data.read(index, 0, out.first(std::min<std::size_t>(out.size(), data.length())));
}

Result<void> copy_struct_back(UserData& data, std::uint32_t type, std::uint32_t minimum,
                              ByteView in) {
  if (data.type() != type) return fail(Errno::kInval, "the data is not of the driver's type");
  if (data.length() < minimum) return fail(Errno::kInval, "the driver's structure is too short");
  return data.write(in.first(std::min<std::size_t>(in.size(), data.length())));
}

}  // namespace teeio::iommu
