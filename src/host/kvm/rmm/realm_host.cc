#include "host/kvm/rmm/realm_host.h"

#include <algorithm>
#include <iterator>

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kListEntries = kPageSize / sizeof(std::uint64_t);

std::uint64_t first_stream(std::uint16_t rid) { return rid & ~(rmm::Psmmu::kTableEntries - 1); }

}  // namespace

using rmm::AddressDescriptor;
using rmm::MemoryRequest;

Result<void> RealmHost::delegate(Hpa granule) {
  const auto r = rmm_.granule_range_delegate(granule, granule + kPageSize);
  if (r.ok()) return {};
  return std::unexpected(rmi_error(r, "RMI_GRANULE_RANGE_DELEGATE failed"));
}

bool RealmHost::undelegate(Hpa granule) {
  return insist([&] { return rmm_.granule_range_undelegate(granule, granule + kPageSize); }).ok();
}

Result<Hpa> RealmHost::alloc_granule() {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  if (const auto delegated = delegate(page); !delegated) {
    memory_.free_page(page);
    return std::unexpected(delegated.error());
  }
  return page;
}

void RealmHost::free_granule(Hpa granule) {
  if (undelegate(granule)) return memory_.free_page(granule);
  trace_.fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the RMM keeps a granule", {.a = 1});
}

/// All of them, or none: then they are freed. An operation that waits for memory gets it from a
/// busy monitor, too.
Result<void> RealmHost::delegate_run(Hpa first, std::uint64_t count) {
  const auto page = [first](std::uint64_t i) { return first + i * kPageSize; };
  for (std::uint64_t done = 0; done < count; ++done) {
    const Hpa at = page(done);
    if (insist([&] { return rmm_.granule_range_delegate(at, at + kPageSize); }).ok()) continue;
    for (std::uint64_t i = 0; i < done; ++i) free_granule(page(i));
    for (std::uint64_t i = done; i < count; ++i) memory_.free_page(page(i));
    return fail(Errno::kIo, "RMI_GRANULE_RANGE_DELEGATE failed");
  }
  return {};
}

/// `count` granules in a row, the first aligned to them all. Pages that do not fit go back.
Result<Hpa> RealmHost::alloc_run(std::uint64_t count) {
  std::vector<Hpa> tried;
  std::optional<Hpa> first;
  for (std::uint64_t have = 0; have < count;) {
    const auto page = memory_.alloc_page();
    if (!page) break;
    tried.push_back(*page);
    if (have > 0 && *page == *first + have * kPageSize) {
      ++have;
    } else {
      have = raw(*page) % (count * kPageSize) == 0 ? 1 : 0;
      if (have != 0) first = *page;
    }
    if (have == count) {
      for (const Hpa other : tried)
        if (other < *first || other >= *first + count * kPageSize) memory_.free_page(other);
      TEEIO_TRY(delegate_run(*first, count));
      return *first;
    }
  }
  for (const Hpa other : tried) memory_.free_page(other);
  return fail(Errno::kNoMem, "there is no memory for the monitor");
}

/// Fills the list with what is wanted; gives how many descriptors it has. Without memory for all
/// of it nothing is kept.
Result<std::uint64_t> RealmHost::fill_list(Hpa list, const rmm::RmiResult& wants) {
  constexpr unsigned kCount = 2, kContiguous = 16;
  // The monitor asks again for what does not fit into the list.
  const std::uint64_t wanted = wants.x2 >> kCount & 0x3fffU;
  const bool contiguous = (wants.x2 >> kContiguous & 1U) != 0;
  const std::uint64_t each = contiguous ? wanted : 1;
  const std::uint64_t count = std::min(wanted / each, kListEntries);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto first = alloc_run(each);
    if (!first) {
      (void)take_list(list, i, 0);
      return std::unexpected(first.error());
    }
    TEEIO_TRY(memory_.write_u64(list + i * sizeof(std::uint64_t),
                                AddressDescriptor{.base = *first, .count = each}.encode()));
  }
  return count;
}

std::uint64_t RealmHost::take_list(Hpa list, std::uint64_t count, std::uint64_t kept) {
  std::uint64_t taken = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto word = memory_.read_u64(list + i * sizeof(std::uint64_t));
    if (!word) continue;
    const auto descriptor = AddressDescriptor::decode(*word);
    for (std::uint64_t n = 0; n < descriptor.count; ++n) {
      if (kept > 0) {
        --kept;
        continue;
      }
      free_granule(descriptor.base + n * kPageSize);
      ++taken;
    }
  }
  return taken;
}

rmm::RmiResult RealmHost::donate(std::uint64_t handle, Hpa list, const rmm::RmiResult& wants,
                                 std::uint64_t& given) {
  const auto count = fill_list(list, wants);
  if (!count) return {.code = rmm::Code::kBlocked};
  const auto result = insist([&] { return rmm_.op_mem_donate(handle, list, *count); });
  // Of a donation that makes the operation fail nothing was taken.
  const bool took =
      result.code == rmm::Code::kIncomplete && result.memory != MemoryRequest::kReclaim;
  const std::uint64_t kept = took ? result.x1 : 0;
  (void)take_list(list, *count, kept);
  given += kept;
  return result;
}

rmm::RmiResult RealmHost::finish(rmm::RmiResult result) {
  if (result.code != rmm::Code::kIncomplete) return result;
  const std::uint64_t handle = result.x1;
  std::uint64_t given = 0;
  bool unknown = false;  // what the monitor had before is its own knowledge
  const auto list = memory_.alloc_page();
  if (!list) {
    unknown = result.memory == MemoryRequest::kReclaim;
    result = {.code = rmm::Code::kBlocked};
  }
  while (result.code == rmm::Code::kIncomplete) {
    if (result.memory == MemoryRequest::kDonate) {
      result = donate(handle, *list, result, given);
    } else if (result.memory == MemoryRequest::kReclaim) {
      constexpr std::uint64_t kRoom = kListEntries;
      result = insist([&] { return rmm_.op_mem_reclaim(handle, *list, kRoom); });
      unknown = result.code != rmm::Code::kIncomplete;
      if (unknown) break;
      given -= std::min(given, take_list(*list, result.x1, 0));
    } else {
      result = insist([&] { return rmm_.op_continue(handle); });
    }
  }
  if (list) memory_.free_page(*list);
  if (!result.ok() && (unknown || given != 0))
    trace_.fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the RMM keeps an operation's memory",
                {.a = std::max(given, std::uint64_t{1})});
  return result;
}

Result<rmm::RmiResult> RealmHost::create_rec(Hpa rd, Hpa rec, const rmm::RecParams& params) {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  rmm::RmiResult created;
  if (const auto written = memory_.write(page, params.encode()); !written) {
    memory_.free_page(page);
    return std::unexpected(written.error());
  }
  created = finish(rmm_.rec_create(rd, rec, page));
  memory_.free_page(page);
  return created;
}

Result<void> RealmHost::start_smmus(const std::vector<Hpa>& psmmus) {
  TEEIO_ASSIGN(const Hpa params, memory_.alloc_page());
  TEEIO_TRY(memory_.write(params, rmm::PsmmuParams{}.encode()));
  rmm::RmiResult started;
  for (const Hpa psmmu : psmmus)
    if (started.ok()) started = finish(rmm_.psmmu_activate(psmmu, params));
  memory_.free_page(params);
  if (started.ok()) return {};
  return std::unexpected(rmi_error(started, "RMI_PSMMU_ACTIVATE failed"));
}

bool RealmHost::share_stream_table(std::uint16_t one, std::uint16_t other) {
  return first_stream(one) == first_stream(other);
}

Result<void> RealmHost::use_stream_table(Hpa psmmu, std::uint16_t rid) {
  const std::uint64_t sid = first_stream(rid);
  const schedule::Lock lock(tables_lock_);
  StreamTable& table = tables_[{raw(psmmu), sid}];
  if (!table.exists)
    if (const auto made = finish(rmm_.psmmu_st_l2_create(psmmu, sid)); !made.ok())
      return std::unexpected(rmi_error(made, "RMI_PSMMU_ST_L2_CREATE failed"));
  table.exists = true;
  ++table.users;
  return {};
}

/// A table that a VDEV keeps stays. One whose destruction has begun is no table any more,
/// whatever becomes of its granule.
void RealmHost::drop_stream_table(Hpa psmmu, std::uint16_t rid) {
  const std::uint64_t sid = first_stream(rid);
  const schedule::Lock lock(tables_lock_);
  StreamTable& table = tables_[{raw(psmmu), sid}];
  if (--table.users > 0) return;
  const auto begun = insist([&] { return rmm_.psmmu_st_l2_destroy(psmmu, sid); });
  if (!begun.ok() && begun.code != rmm::Code::kIncomplete) return;
  table.exists = false;
  (void)finish(begun);
}

void RealmHost::add_vdev(Known vdev) {
  const schedule::Lock lock(lock_);
  for (const rmm::PaRange& range : vdev.ranges)
    mmio_.insert_or_assign(range.base, Mmio{.top = range.top, .vdev = vdev.vdev});
  named_.insert_or_assign({vdev.rd, vdev.id}, vdev.vdev);
  vdevs_.insert_or_assign(vdev.vdev, std::move(vdev));
}

void RealmHost::remove_vdev(Hpa vdev) {
  const schedule::Lock lock(lock_);
  const auto known = vdevs_.find(vdev);
  if (known == vdevs_.end()) return;
  for (const rmm::PaRange& range : known->second.ranges) mmio_.erase(range.base);
  named_.erase({known->second.rd, known->second.id});
  vdevs_.erase(known);
}

std::optional<Hpa> RealmHost::vdev_of(Hpa address) {
  const schedule::Lock lock(lock_);
  const auto after = mmio_.upper_bound(address);
  if (after == mmio_.begin() || address >= std::prev(after)->second.top) return std::nullopt;
  return std::prev(after)->second.vdev;
}

std::optional<Hpa> RealmHost::vdev_named(std::uint64_t id, Hpa rd) {
  const schedule::Lock lock(lock_);
  const auto found = named_.find({rd, id});
  return found == named_.end() ? std::nullopt : std::optional(found->second);
}

Error rmi_error(const rmm::RmiResult& result, std::string_view why) {
  if (result.code == rmm::Code::kInput) return {Errno::kInval, why};
  if (result.code == rmm::Code::kBlocked) return {Errno::kNoMem, why};
  const bool busy = result.code == rmm::Code::kGranule || result.code == rmm::Code::kBusy;
  return {busy ? Errno::kBusy : Errno::kIo, why};
}

}  // namespace teeio::kvm
