#include "host/vfio/ioeventfds.h"

#include "host/vfio/device.h"
#include "host/vfio/ports.h"
#include "object/trace.h"

namespace teeio::vfio {

Result<void> IoEventFds::set(const Write& write, const EventFdArgument& given) {
  const schedule::Lock lock(lock_);
  const auto at = all_.find(write);
  if (at != all_.end()) {
    if (given.fd >= 0) return fail(Errno::kExist, "an eventfd writes that there already");
    all_.erase(at);
    return {};
  }
  if (given.fd < 0) return fail(Errno::kNoDev, "no eventfd writes that there");
  if (all_.size() >= kMost) return fail(Errno::kNoSpc, "the device has 1000 such eventfds");
  TEEIO_ASSIGN(auto virqfd, Virqfd::enable(given, [this, write] { carry_out_(write); }));
  all_.emplace(write, std::move(virqfd));
  return {};
}

void IoEventFds::clear() {
  const schedule::Lock lock(lock_);
  all_.clear();
}

Result<void> Device::set_ioeventfd(std::uint64_t offset, std::uint64_t data, std::uint32_t size,
                                   const EventFdArgument& given) {
  const std::uint64_t bar = offset >> kRegionShift;
  const std::uint64_t at = offset & ((std::uint64_t{1} << kRegionShift) - 1);
  if (bar >= kBarRegions) return fail(Errno::kInval, "only a BAR is written by an eventfd");
  if (at + size > pci().bars().at(bar).size) return fail(Errno::kInval, "beyond the region's end");
  if (bar == msix_bar_ && at + size > msix_table_.offset &&
      at < msix_table_.offset + msix_table_.length)
    return fail(Errno::kInval, "the MSI-X table is not written by eventfds");
  return ioeventfds_.set({static_cast<std::uint32_t>(bar), at, data, size}, given);
}

/// vfio_pci_ioeventfd_handler(): where the BAR does not answer now, nothing is written and nobody
/// is told.
void Device::write_by_eventfd(const IoEventFds::Write& write) {
  const object::OriginScope origin({.pid = 0, .tid = 0, .fd = -1, .call = "an ioeventfd"});
  const object::DelayedPuts puts;
  const schedule::ReadLock lock(memory_lock_);
  const hw::Bar& bar = pci().bars().at(write.bar);
  if (!check_reachable(bar)) return;
  const ByteView all = bytes_of(write.data);
  const ByteView bytes = all.first(write.size);
  if (bar.kind == hw::Bar::Kind::kIo)
    write_ports(*bar.target, write.at, bytes);
  else
    bar.target->mmio_write(write.at, bytes);
  touched_bound(object::HostTouch::kWrite);
}

}  // namespace teeio::vfio
