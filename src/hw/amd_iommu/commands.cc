#include "hw/amd_iommu/commands.h"

#include <bit>

namespace teeio::hw::amd {
namespace {

constexpr std::uint64_t kOpcode = std::uint64_t{0xf} << 60U;

std::optional<DecodedCommand> completion_wait(std::uint64_t low, std::uint64_t high) {
  constexpr std::uint64_t kFlush = 1U << 2U;
  constexpr std::uint64_t kStoreAddress = 0x000f'ffff'ffff'fff8;
  if ((low & ~(kOpcode | kStoreAddress | kFlush | kWaitStore | kWaitInterrupt)) != 0)
    return std::nullopt;
  return DecodedCommand{.opcode = Command::kCompletionWait,
                        .stores = (low & kWaitStore) != 0,
                        .interrupts = (low & kWaitInterrupt) != 0,
                        .store_at = Hpa{low & kStoreAddress},
                        .data = high};
}

/// Those that name a requester in 15:0 and nothing else.
std::optional<DecodedCommand> of_requester(Command opcode, std::uint64_t low, std::uint64_t high) {
  if ((low & ~(kOpcode | 0xffffU)) != 0 || high != 0) return std::nullopt;
  return DecodedCommand{.opcode = opcode, .requester = static_cast<std::uint16_t>(low)};
}

/// Source: 2.4.3. A PASID (GN) is for guest translation, which is not there.
std::optional<DecodedCommand> iommu_pages(std::uint64_t low, std::uint64_t high) {
  constexpr std::uint64_t kDomain = std::uint64_t{0xffff} << 32U;
  constexpr std::uint64_t kAddress = ~(kPageSize - 1);
  if ((low & ~(kOpcode | kDomain)) != 0) return std::nullopt;
  if ((high & ~(kAddress | kPagesSized | kPagesTables)) != 0) return std::nullopt;
  DecodedCommand command{.opcode = Command::kInvalidateIommuPages,
                         .domain = static_cast<std::uint16_t>(low >> 32U)};
  std::uint64_t mask = kPageSize - 1;
  if ((high & kPagesSized) != 0) {
    const auto ones = static_cast<unsigned>(std::countr_one(high >> kPageShift));
    const unsigned shift = kPageShift + ones + 1;
    mask = shift >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << shift) - 1;
  }
  command.first = Iova{high & kAddress & ~mask};
  command.last = Iova{(high & kAddress) | mask};
  return command;
}

}  // namespace

std::optional<DecodedCommand> decode_command(std::uint64_t low, std::uint64_t high) {
  const auto opcode = static_cast<Command>(low >> 60U);
  switch (opcode) {
    case Command::kCompletionWait:
      return completion_wait(low, high);
    case Command::kInvalidateDevtabEntry:
    case Command::kInvalidateInterruptTable:
      return of_requester(opcode, low, high);
    case Command::kInvalidateIommuPages:
      return iommu_pages(low, high);
    case Command::kInvalidateIotlbPages:
      // Its other fields are for the device, and no device answers.
      return DecodedCommand{.opcode = opcode, .requester = static_cast<std::uint16_t>(low)};
    case Command::kInvalidateIommuAll:
      if ((low & ~kOpcode) != 0 || high != 0) return std::nullopt;
      return DecodedCommand{.opcode = opcode};
  }
  return std::nullopt;
}

}  // namespace teeio::hw::amd
