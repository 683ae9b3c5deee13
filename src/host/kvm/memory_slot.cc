#include "host/kvm/memory_slot.h"

#include "host/kvm/dmabuf_slot.h"

namespace teeio::kvm {

Slot::Slot(const MemoryRegion& region)
    : id(region.slot),
      flags(region.flags),
      start(Gpa{region.guest_phys_addr}),
      size(region.memory_size),
      userspace_addr(region.userspace_addr) {}

Slot::~Slot() = default;

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
