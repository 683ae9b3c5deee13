#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/iommufd/iopt_pages.h"
#include "host/mm/user_memory.h"
#include "object/ref.h"

namespace teeio::vfio {

/// The part of a BAR that a program has mapped at `address`: what a type 1 container maps for
/// peer-to-peer DMA. Nothing takes it away again: a reset or a bind of the BAR's device does
/// not reach a container (Linux: vaddr_get_pfns(), follow_fault_pfn()).
/// Errors: EFAULT no such mapping, or the device's memory is off or its guest's.
Result<object::Ref<iommufd::IoptPages>> bar_pages(mm::UserMemory& memory, std::uint64_t address,
                                                  std::uint64_t length, mm::Access access);

}  // namespace teeio::vfio
