#include <algorithm>

#include "machine/parts.h"

// BARs that programs map through sysfs. Source: Linux drivers/pci/pci-sysfs.c,
// pci_mmap_resource(); kernel/resource.c, iomem_is_exclusive(), revoke_iomem().

namespace teeio::machine {

Result<void> Machine::Impl::map_bar(Bdf bdf, std::size_t bar, mm::MappedFile& file,
                                    std::uint64_t offset, std::uint64_t length) {
  hw::PciFunction* function = nullptr;
  bool native = false;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) {
      function = entry->function;
      native = entry->native;
    }
  }
  if (function == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
  const hw::Bar& info = function->bars().at(bar);
  if (length == 0 || offset > info.size || length > info.size - offset)
    return fail(Errno::kInval, "beyond the BAR's end");
  if (info.plain == nullptr)
    return fail(Errno::kInval, "the BAR has registers: they are read and written through VFIO");
  if (native || in_use(bdf)) return fail(Errno::kInval, "a driver has claimed the BAR");
  {
    const schedule::WriteLock lock(bar_lock);
    const auto at = std::ranges::find(bar_mappings, info.plain, &BarMapping::bar);
    if (at != bar_mappings.end()) {
      if (at->file == &file) return {};
      return fail(Errno::kBusy, "another file has the BAR mapped");
    }
    TEEIO_ASSIGN(const std::span<std::byte> bytes, file.expose(0, info.size));
    info.plain->relocate(bytes);
    bar_mappings.push_back({.bdf = bdf, .bar = info.plain, .file = &file});
  }
  // Whose driver came meanwhile, or that has left.
  bool claimed = in_use(bdf);
  {
    const schedule::ReadLock lock(bus_lock);
    const Slot* const now = slot(bdf);
    claimed = claimed || now == nullptr || now->native;
  }
  if (claimed) claim_memory(bdf);
  return {};
}

void Machine::Impl::unmap_bar(mm::MappedFile& file) {
  const schedule::WriteLock lock(bar_lock);
  for (const BarMapping& mapping : bar_mappings)
    if (mapping.file == &file) mapping.bar->relocate({});
  std::erase_if(bar_mappings, [&](const BarMapping& mapping) { return mapping.file == &file; });
}

void Machine::Impl::claim_memory(Bdf bdf) {
  const auto is_its = [bdf](const BarMapping& mapping) { return mapping.bdf == bdf; };
  {
    const schedule::ReadLock lock(bar_lock);
    if (std::ranges::none_of(bar_mappings, is_its)) return;
  }
  const schedule::WriteLock lock(bar_lock);
  for (const BarMapping& mapping : bar_mappings) {
    if (!is_its(mapping)) continue;
    mapping.bar->relocate({});
    mapping.file->revoke();
  }
  std::erase_if(bar_mappings, is_its);
}

}  // namespace teeio::machine
