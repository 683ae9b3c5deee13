#include "host/kvm/rmm/realm_vm.h"

#include "host/kvm/gmem.h"
#include "host/kvm/memory_slot.h"

namespace teeio::kvm {

namespace {

/// As far as it was made: what is still only a delegated granule is refused with INPUT.
/// Gives whether the realm is gone.
bool take_apart(RealmHost& host, const RealmVm::Granules& granules) {
  rmm::Rmm& rmm = host.rmm();
  const auto gone = [&](auto command) {
    const rmm::Code code = host.finish(host.insist(command)).code;
    return code == rmm::Code::kSuccess || code == rmm::Code::kInput;
  };
  (void)rmm.realm_terminate(granules.rd);
  if (raw(granules.rec) != 0 && gone([&] { return rmm.rec_destroy(granules.rec); }))
    host.free_granule(granules.rec);
  if (!gone([&] { return rmm.realm_destroy(granules.rd); })) return false;
  host.free_granule(granules.rd);
  host.free_granule(granules.rtt);
  return true;
}

Result<RealmVm::Granules> alloc(RealmHost& host) {
  // RECs of vCPUs come with the realm's activation.
  const std::size_t count = host.cpus() == nullptr ? 3 : 2;
  Hpa pages[3]{};
  for (std::size_t i = 0; i < count; ++i) {
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

rmm::Nonces nonces_of(const rmm::VdevInfo& info) {
  return {.lock = info.lock_nonce,
          .measurements = info.measurements_nonce,
          .report = info.report_nonce};
}

}  // namespace

Result<std::unique_ptr<VmOps>> RealmVm::create(Vm& vm, RealmHost& host) {
  TEEIO_ASSIGN(const Granules granules, alloc(host));
  rmm::Rmm& rmm = host.rmm();
  auto made = rmm.realm_create(granules.rd, {.vm = vm.number(), .rtt = granules.rtt});
  const bool runs = host.cpus() != nullptr;
  if (made.ok() && !runs)
    made = host.create_rec(granules.rd, granules.rec, {})
               .value_or(rmm::RmiResult{.code = rmm::Code::kBlocked});
  if (made.ok() && !runs) made = rmm.realm_activate(granules.rd);
  if (made.ok()) return std::unique_ptr<VmOps>(new RealmVm(vm, host, granules));
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
rmm::RmiResult RealmVm::with_tables(Gpa gpa, const std::function<rmm::RmiResult()>& command) {
  for (;;) {
    const auto mapped = command();
    if (mapped.code != rmm::Code::kRtt || mapped.level >= rmm::kPageLevel) return mapped;
    for (auto level = static_cast<std::uint8_t>(mapped.level + 1); level <= rmm::kPageLevel;
         ++level)
      if (!add_table(gpa, level)) return {.code = rmm::Code::kBlocked};
  }
}

rmm::RmiResult RealmVm::dev_map(Gpa gpa, Hpa page, Hpa vdev) {
  return with_tables(gpa, [&] {
    return host_.rmm().rtt_dev_map(granules_.rd, vdev, gpa, gpa + kPageSize, {}, one_page(page));
  });
}

// Addresses. The upper half of a realm's space is unprotected: Linux's guests and hosts tell
// by the top bit.

std::optional<bool> RealmVm::is_private(Gpa address) const {
  return runs_code() ? std::optional(raw(address) < rmm::Rtt::kProtected) : std::nullopt;
}

Gpa RealmVm::strip(Gpa address) const {
  return runs_code() ? Gpa{raw(address) & ~rmm::Rtt::kProtected} : address;
}

Gpa RealmVm::shared_alias(Gpa address) const {
  return runs_code() ? Gpa{raw(address) | rmm::Rtt::kProtected} : address;
}

std::optional<hw::GuestMapping> RealmVm::lookup_private(Gpa page) {
  const auto place = host_.rmm().translate(granules_.rd, page);
  if (!place) return std::nullopt;
  return hw::GuestMapping{.address = place->page, .mmio = place->device, .key = rmm::kRealmWorld};
}

/// handle_data_abort() of TF-RMM: an access where the realm has nothing is its own mistake.
bool RealmVm::raises_exception(Gpa page) {
  const auto place = host_.rmm().translate(granules_.rd, page);
  return !place && place.error() == rmm::Rmm::NoPlace::kEmpty;
}

/// realm_map_protected(), __realm_dev_mem_map().
Result<void> RealmVm::map_private(Gpa gpa, Hpa page, PageKind kind) {
  const bool ram = kind == PageKind::kRam;
  if (ram && !runs_code())
    return fail(Errno::kOpNotSupp, "a realm without code has no private RAM");
  const auto vdev = ram ? std::optional(Hpa{0}) : host_.vdev_of(page);
  if (!vdev) return fail(Errno::kInval, "the MMIO belongs to no bound TDI");
  TEEIO_TRY(host_.delegate(page));
  const auto mapped = !ram ? dev_map(gpa, page, *vdev) : with_tables(gpa, [&] {
    return host_.rmm().rtt_data_map(granules_.rd, gpa, gpa + kPageSize, {}, one_page(page));
  });
  if (mapped.ok()) return {};
  (void)host_.undelegate(page);
  return std::unexpected(
      rmi_error(mapped, ram ? "RMI_RTT_DATA_MAP failed" : "RMI_RTT_DEV_MAP failed"));
}

/// realm_unmap_private_range().
Result<void> RealmVm::remove_private(Gpa gpa, PageKind kind) {
  rmm::Rmm& rmm = host_.rmm();
  const auto unmapped = host_.insist([&] {
    return kind == PageKind::kRam ? rmm.rtt_data_unmap(granules_.rd, gpa, gpa + kPageSize, {})
                                  : rmm.rtt_dev_unmap(granules_.rd, gpa, gpa + kPageSize, {});
  });
  if (!unmapped.ok())
    return std::unexpected(rmi_error(unmapped, "the RMM does not unmap a private page"));
  // The monitor has invalidated; what an engine has kept of the page goes with it.
  vm_.flush_remote_tlbs(gpa, kPageSize);
  if (unmapped.x2 != 0) (void)host_.undelegate(rmm::AddressDescriptor::decode(unmapped.x2).base);
  return {};
}

/// A turn of kvm_gmem_populate() with populate_region_cb().
Result<void> RealmVm::populate_page(Gpa gpa, bool measure, ByteView contents) {
  const schedule::ReadLock srcu(vm_.srcu());
  const schedule::Lock config(config_lock_);
  Slot* slot = vm_.find_slot(gpa);
  if (slot == nullptr || slot->gmem == nullptr)
    return fail(Errno::kInval, "no guest_memfd backs the page");
  return slot->gmem->populate(slot->gmem_offset + (gpa - slot->start), [&](Hpa page) {
    return populate_page(gpa, page, measure, contents);
  });
}

Result<void> RealmVm::populate_page(Gpa gpa, Hpa page, bool measure, ByteView contents) {
  if (!vm_.is_private(gpa)) return fail(Errno::kInval, "the page is not private");
  if (active_.load()) return fail(Errno::kBusy, "the realm is active");
  TEEIO_ASSIGN(const Hpa source, host_.memory().alloc_page());
  const auto mapped = vm_.mmu().adopt_private(gpa, page, [&]() -> Result<void> {
    TEEIO_TRY(host_.memory().write(source, contents));
    TEEIO_TRY(host_.delegate(page));
    const auto done = with_tables(gpa, [&] {
      return host_.rmm().rtt_data_map_init(granules_.rd, page, gpa, source, measure ? 1 : 0);
    });
    if (done.ok()) return {};
    (void)host_.undelegate(page);
    return fail(Errno::kNxio, "RMI_RTT_DATA_MAP_INIT failed");
  });
  host_.memory().free_page(source);
  return mapped;
}

Result<std::uint64_t> RealmVm::populate(Gpa base, std::uint64_t pages, bool measure,
                                        const ReadSource& contents) {
  if (!runs_code()) return fail(Errno::kOpNotSupp, "a realm without code has no private RAM");
  if (raw(base) >= rmm::Rtt::kProtected || pages > (rmm::Rtt::kProtected - raw(base)) / kPageSize)
    return fail(Errno::kInval, "the range is not in the protected half of the realm's space");
  std::uint64_t done = 0;
  Bytes bytes(kPageSize);
  for (; done < pages; ++done) {
    auto read = contents(done, bytes);
    if (read) read = populate_page(base + done * kPageSize, measure, bytes);
    if (!read && done == 0) return std::unexpected(read.error());
    if (!read) break;
  }
  return done;
}

Result<rmm::VdevInfo> RealmVm::info(std::uint64_t vdev_id, Hpa vdev) {
  rmm::Rmm& rmm = host_.rmm();
  (void)rmm.rsi_vdev_get_info(rec(), vdev_id, 0);
  (void)rmm.vdev_complete(rec(), vdev);
  (void)rmm.rec_enter(rec());
  if (rmm.rsi_result(rec()).code != rmm::RsiCode::kSuccess)
    return fail(Errno::kIo, "RSI_VDEV_GET_INFO failed");
  return rmm.rsi_info(rec());
}

Result<rmm::VdevInfo> RealmVm::guest_looks(Bdf function) {
  const auto vdev = host_.vdev_named(function.rid(), granules_.rd);
  if (!vdev) return fail(Errno::kNxio, "the realm has no such VDEV");
  return info(function.rid(), *vdev);
}

/// Source: TF-RMM runtime/rsi/vdev.c.
Result<void> RealmVm::guest_enables_dma(Bdf function) {
  rmm::Rmm& rmm = host_.rmm();
  const auto vdev = host_.vdev_named(function.rid(), granules_.rd);
  if (!vdev) return fail(Errno::kNxio, "the realm has no such VDEV");
  TEEIO_ASSIGN(const rmm::VdevInfo now, info(function.rid(), *vdev));
  (void)rmm.rsi_vdev_dma_enable(rec(), function.rid(), nonces_of(now));
  (void)rmm.vdev_complete(rec(), *vdev);
  (void)rmm.rec_enter(rec());
  if (rmm.rsi_result(rec()).code != rmm::RsiCode::kSuccess)
    return fail(Errno::kIo, "RSI_VDEV_DMA_ENABLE failed");
  return {};
}

Result<void> RealmVm::guest_asks_for(std::uint64_t vdev_id, Hpa vdev, Gpa base, Gpa top,
                                     Hpa address) {
  rmm::Rmm& rmm = host_.rmm();
  TEEIO_ASSIGN(const rmm::VdevInfo now, info(vdev_id, vdev));
  const auto asked = rmm.rsi_vdev_validate_mapping(
      rec(),
      {.vdev_id = vdev_id, .base = base, .top = top, .pa = address, .nonces = nonces_of(now)});
  if (asked.code == rmm::RsiCode::kIncomplete) return {};
  return fail(Errno::kIo, "RSI_VDEV_VALIDATE_MAPPING failed");
}

/// kvm_destroy_realm(): RECs went with their vCPUs.
void RealmVm::destroy(Vm& vm) {
  for (const Table& table : tables_)
    if (const auto r = host_.rmm().rtt_destroy(granules_.rd, Gpa{table.base}, table.level); r.ok())
      host_.free_granule(Hpa{r.x1});
  if (take_apart(host_, granules_)) return;
  host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                     "the realm could not be destroyed", {.vm = vm.number(), .a = 1});
}

}  // namespace teeio::kvm
