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
[[nodiscard]] std::vector<PairCall> pair_calls_of_vfio();

}  // namespace teeio::explore
