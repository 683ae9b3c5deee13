#pragma once

#include <cstdint>

#include "host/iommu/user_data.h"
#include "host/mm/user_memory.h"

namespace teeio::entry {

/// Structures at an address of the program, for its IOMMU's driver.
class ProgramData final : public iommu::UserData {
 public:
  ProgramData(mm::UserMemory& memory, std::uint64_t address, std::uint32_t type,
              std::uint32_t length, std::uint32_t count = 1)
      : UserData(type, length, count), memory_(memory), address_(address) {}

  Result<void> read(std::uint32_t index, std::uint32_t offset, std::span<std::byte> out) override {
    return memory_.read(address_ + std::uint64_t{index} * length() + offset, out);
  }
  Result<void> write(ByteView in) override { return memory_.write(address_, in); }

 private:
  mm::UserMemory& memory_;
  const std::uint64_t address_;
};

}  // namespace teeio::entry
