#include "host/kvm/rmm/realm_vm.h"

namespace teeio::kvm {

namespace {

/// As far as it was made: what is still only a delegated granule is refused with INPUT.
/// Gives whether the realm is gone.
bool take_apart(RealmHost& host, const RealmVm::Granules& granules) {
  rmm::Rmm& rmm = host.rmm();
  const auto gone = [&](auto command) {
    const rmm::Code code = host.insist(command).code;
    return code == rmm::Code::kSuccess || code == rmm::Code::kInput;
  };
  (void)rmm.realm_terminate(granules.rd);
  if (gone([&] { return rmm.rec_destroy(granules.rec); })) host.free_granule(granules.rec);
  if (!gone([&] { return rmm.realm_destroy(granules.rd); })) return false;
  host.free_granule(granules.rd);
  host.free_granule(granules.rtt);
  return true;
}

Result<RealmVm::Granules> alloc(RealmHost& host) {
  Hpa pages[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const auto page = host.alloc_granule();
    if (!page) {
      for (std::size_t j = 0; j < i; ++j) host.free_granule(pages[j]);
      return std::unexpected(page.error());
    }
    pages[i] = *page;
  }
  return RealmVm::Granules{.rd = pages[0], .rtt = pages[1], .rec = pages[2]};
}

std::uint64_t one_page(Hpa page) {
  return rmm::AddressDescriptor{.base = page, .count = 1}.encode();
}

}  // namespace

Result<std::unique_ptr<VmOps>> RealmVm::create(Vm& vm, RealmHost& host) {
  TEEIO_ASSIGN(const Granules granules, alloc(host));
  rmm::Rmm& rmm = host.rmm();
  auto made = rmm.realm_create(granules.rd, {.vm = vm.number(), .rtt = granules.rtt});
  if (made.ok()) made = rmm.rec_create(granules.rd, granules.rec);
  if (made.ok()) made = rmm.realm_activate(granules.rd);
  if (made.ok()) return std::unique_ptr<VmOps>(new RealmVm(host, granules));
  (void)take_apart(host, granules);
  return std::unexpected(rmi_error(made, "RMI_REALM_CREATE failed"));
}

/// As realm_create_rtt_levels() of the posted arch/arm64/kvm/rmi.c.
Result<void> RealmVm::add_table(Gpa gpa, std::uint8_t level) {
  const std::uint64_t covers = rmm::level_bytes(static_cast<std::uint8_t>(level - 1));
  const Gpa base{raw(gpa) & ~(covers - 1)};
  TEEIO_ASSIGN(const Hpa table, host_.memory().alloc_page());
  const auto lent =
      host_.insist([&] { return host_.rmm().granule_range_delegate(table, table + kPageSize); });
  if (!lent.ok()) {
    host_.memory().free_page(table);
    return std::unexpected(rmi_error(lent, "RMI_GRANULE_RANGE_DELEGATE failed"));
  }
  const auto created = host_.rmm().rtt_create(granules_.rd, table, base, level);
  if (!created.ok()) {
    host_.free_granule(table);
    return std::unexpected(rmi_error(created, "RMI_RTT_CREATE failed"));
  }
  tables_.insert({.level = level, .base = raw(base)});
  return {};
}

/// A walk that ends too early says where: the tables below are made.
rmm::RmiResult RealmVm::dev_map(Gpa gpa, Hpa page, Hpa vdev) {
  for (;;) {
    const auto mapped =
        host_.rmm().rtt_dev_map(granules_.rd, vdev, gpa, gpa + kPageSize, {}, one_page(page));
    if (mapped.code != rmm::Code::kRtt || mapped.level >= rmm::kPageLevel) return mapped;
    for (auto level = static_cast<std::uint8_t>(mapped.level + 1); level <= rmm::kPageLevel;
         ++level)
      if (!add_table(gpa, level)) return {.code = rmm::Code::kBlocked};
  }
}

Result<void> RealmVm::map_private(Gpa gpa, Hpa page, PageKind kind) {
  if (kind == PageKind::kRam)
    return fail(Errno::kOpNotSupp, "a realm's private RAM is not modelled");
  const auto vdev = host_.vdev_of(page);
  if (!vdev) return fail(Errno::kInval, "the MMIO belongs to no bound TDI");
  TEEIO_TRY(host_.delegate(page));
  const auto mapped = dev_map(gpa, page, *vdev);
  if (mapped.ok()) return {};
  (void)host_.undelegate(page);
  return std::unexpected(rmi_error(mapped, "RMI_RTT_DEV_MAP failed"));
}

Result<void> RealmVm::remove_private(Gpa gpa, PageKind) {
  const auto unmapped = host_.insist(
      [&] { return host_.rmm().rtt_dev_unmap(granules_.rd, gpa, gpa + kPageSize, {}); });
  if (!unmapped.ok()) return std::unexpected(rmi_error(unmapped, "RMI_RTT_DEV_UNMAP failed"));
  if (unmapped.x2 != 0) (void)host_.undelegate(rmm::AddressDescriptor::decode(unmapped.x2).base);
  return {};
}

Result<rmm::Nonces> RealmVm::nonces(std::uint64_t vdev_id, Hpa vdev) {
  rmm::Rmm& rmm = host_.rmm();
  (void)rmm.rsi_vdev_get_info(rec(), vdev_id, 0);
  (void)rmm.vdev_complete(rec(), vdev);
  (void)rmm.rec_enter(rec());
  if (rmm.rsi_result(rec()).code != rmm::RsiCode::kSuccess)
    return fail(Errno::kIo, "RSI_VDEV_GET_INFO failed");
  const rmm::VdevInfo info = rmm.rsi_info(rec());
  return rmm::Nonces{.lock = info.lock_nonce,
                     .measurements = info.measurements_nonce,
                     .report = info.report_nonce};
}

/// Source: TF-RMM runtime/rsi/vdev.c.
Result<void> RealmVm::guest_enables_dma(Bdf function) {
  rmm::Rmm& rmm = host_.rmm();
  const auto vdev = host_.vdev_named(function.rid(), granules_.rd);
  if (!vdev) return fail(Errno::kNxio, "the realm has no such VDEV");
  TEEIO_ASSIGN(const rmm::Nonces now, nonces(function.rid(), *vdev));
  (void)rmm.rsi_vdev_dma_enable(rec(), function.rid(), now);
  (void)rmm.vdev_complete(rec(), *vdev);
  (void)rmm.rec_enter(rec());
  if (rmm.rsi_result(rec()).code != rmm::RsiCode::kSuccess)
    return fail(Errno::kIo, "RSI_VDEV_DMA_ENABLE failed");
  return {};
}

Result<void> RealmVm::guest_asks_for(std::uint64_t vdev_id, Hpa vdev, Gpa base, Gpa top,
                                     Hpa address) {
  rmm::Rmm& rmm = host_.rmm();
  TEEIO_ASSIGN(const rmm::Nonces now, nonces(vdev_id, vdev));
  const auto asked = rmm.rsi_vdev_validate_mapping(
      rec(), {.vdev_id = vdev_id, .base = base, .top = top, .pa = address, .nonces = now});
  if (asked.code == rmm::RsiCode::kIncomplete) return {};
  return fail(Errno::kIo, "RSI_VDEV_VALIDATE_MAPPING failed");
}

void RealmVm::destroy(Vm& vm) {
  for (const Table& table : tables_)
    if (const auto r = host_.rmm().rtt_destroy(granules_.rd, Gpa{table.base}, table.level); r.ok())
      host_.free_granule(Hpa{r.x1});
  if (take_apart(host_, granules_)) return;
  host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                     "the realm could not be destroyed", {.vm = vm.number(), .a = 1});
}

}  // namespace teeio::kvm
