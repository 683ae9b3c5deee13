#include "host/kvm/rmm/realm_host.h"

namespace teeio::kvm {

Result<Hpa> RealmHost::alloc_granule() {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  if (const auto r = rmm_.granule_delegate(page); !r.ok()) {
    memory_.free_page(page);
    return std::unexpected(rmi_error(r, "RMI_GRANULE_DELEGATE failed"));
  }
  return page;
}

void RealmHost::free_granule(Hpa granule) {
  if (insist([&] { return rmm_.granule_undelegate(granule); }).ok())
    return memory_.free_page(granule);
  trace_.fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the RMM keeps a granule", {.a = 1});
}

void RealmHost::add_mmio(const rmm::PaRange& range, Hpa vdev) {
  const schedule::Lock lock(lock_);
  mmio_.insert_or_assign(raw(range.base), Mmio{.top = range.top, .vdev = vdev});
}

void RealmHost::remove_mmio(Hpa vdev) {
  const schedule::Lock lock(lock_);
  std::erase_if(mmio_, [&](const auto& entry) { return entry.second.vdev == vdev; });
}

std::optional<Hpa> RealmHost::vdev_of(Hpa address) {
  const schedule::Lock lock(lock_);
  auto after = mmio_.upper_bound(raw(address));
  if (after == mmio_.begin()) return std::nullopt;
  const Mmio& found = std::prev(after)->second;
  return address < found.top ? std::optional(found.vdev) : std::nullopt;
}

Error rmi_error(const rmm::RmiResult& result, std::string_view why) {
  if (result.code == rmm::Code::kInput) return {Errno::kInval, why};
  const bool busy = result.code == rmm::Code::kGranule || result.code == rmm::Code::kBusy;
  return {busy ? Errno::kBusy : Errno::kIo, why};
}

}  // namespace teeio::kvm
