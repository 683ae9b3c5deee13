#include "host/kvm/memory_slot.h"

#include <algorithm>

#include "host/kvm/dmabuf_slot.h"
#include "host/kvm/vm.h"

namespace teeio::kvm {

Slot::Slot(const MemoryRegion& region)
    : id(region.slot),
      flags(region.flags),
      start(Gpa{region.guest_phys_addr}),
      size(region.memory_size),
      userspace_addr(region.userspace_addr) {}

Slot::~Slot() = default;

bool Vm::is_writable(Gpa start, std::uint64_t size) {
  const std::uint64_t first = raw(start) >> kPageShift;
  const std::uint64_t last = (raw(start) + size - 1) >> kPageShift;
  if (first > last) return false;  // around the address space's end
  const schedule::ReadLock reader(srcu_);
  for (std::uint64_t gfn = first; gfn <= last; ++gfn) {
    const Slot* slot = find_slot(Gpa{gfn << kPageShift});
    if (slot == nullptr || (slot->flags & kMemReadonly) != 0) return false;
  }
  return true;
}

std::vector<std::pair<Gpa, std::uint64_t>> Vm::gmem_ranges(const void* gmem, std::uint64_t offset,
                                                           std::uint64_t size) {
  std::vector<std::pair<Gpa, std::uint64_t>> ranges;
  for (const auto& [id, slot] : slots_) {
    if (slot->gmem != gmem) continue;
    const std::uint64_t first = std::max(offset, slot->gmem_offset);
    const std::uint64_t last = std::min(offset + size, slot->gmem_offset + slot->size);
    if (first < last) ranges.emplace_back(slot->start + (first - slot->gmem_offset), last - first);
  }
  return ranges;
}

Result<std::unique_ptr<UserPages>> UserPages::create(hw::PhysicalMemory& memory,
                                                     object::Ref<mm::Pages> pages) {
  const std::uint64_t size = pages->size_bytes();
  auto made = std::make_unique<UserPages>(memory, std::move(pages), Hpa{0});
  TEEIO_ASSIGN(made->base_, memory.map_window(*made, size));
  return made;
}

UserPages::~UserPages() {
  if (raw(base_) != 0) memory_.unmap_window(base_);
}

}  // namespace teeio::kvm
