#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "explore/scenario/pair_calls.h"

namespace teeio::explore {

/// What a call answered, without what it gave.
template <class T>
Result<void> made(const Result<T>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return {};
}

/// VFIO_DEVICE_ATTACH_IOMMUFD_PT.
Result<void> attach_to(Vmm& vmm, std::uint32_t id);
/// Two vectors of MSI-X, the first to the pair's eventfd.
Result<void> connect_vectors(Pair& pair);
/// The page of the program's memory that is in its IOAS.
inline constexpr std::uint64_t kMappedIova = 0x10'0000;
Result<void> unmap_at(Vmm& vmm, std::uint64_t iova);
[[nodiscard]] std::vector<PairCall> pair_calls_of_vfio();
[[nodiscard]] std::vector<PairCall> pair_calls_of_few();

}  // namespace teeio::explore
