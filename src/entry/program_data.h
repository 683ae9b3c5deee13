#pragma once

#include <algorithm>
#include <cstdint>

#include "base/types.h"
#include "host/iommu/user_data.h"
#include "host/mm/user_memory.h"

namespace teeio::entry {

/// Structures at an address of the program, for its IOMMU's driver. Of an array it reads what
/// else is on the page: IOMMU_HWPT_INVALIDATE has up to 2^19 structures, and each read of a
/// program's memory is a system call.
class ProgramData final : public iommu::UserData {
 public:
  ProgramData(mm::UserMemory& memory, std::uint64_t address, std::uint32_t type,
              std::uint32_t length, std::uint32_t count = 1)
      : UserData(type, length, count), memory_(memory), address_(address) {}

  Result<void> read(std::uint32_t index, std::uint32_t offset, std::span<std::byte> out) override {
    const std::uint64_t first = std::uint64_t{index} * length(), from = first + offset;
    if (count() == 1) return memory_.read(address_ + from, out);
    if (from < begin_ || from + out.size() > begin_ + piece_.size())
      TEEIO_TRY(load(first, from + out.size()));
    std::ranges::copy(std::span(piece_).subspan(from - begin_, out.size()), out.begin());
    return {};
  }
  Result<void> write(ByteView in) override { return memory_.write(address_, in); }

 private:
  /// [from, to), and what there is of the array up to the end of the page where that ends.
  Result<void> load(std::uint64_t from, std::uint64_t to) {
    const std::uint64_t page_end = mm::page_base(address_ + to - 1) + kPageSize - address_;
    const std::uint64_t all = std::uint64_t{count()} * length();
    piece_.resize(std::max(to, std::min(page_end, all)) - from);
    begin_ = from;
    Result<void> done = memory_.read(address_ + from, piece_);
    if (!done) piece_.clear();
    return done;
  }

  mm::UserMemory& memory_;
  const std::uint64_t address_;
  std::uint64_t begin_ = 0;  ///< which byte of the array `piece_` begins with
  Bytes piece_;
};

}  // namespace teeio::entry
