#include "hw/vtd/vtd_iommu.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "hw/vtd/iommu_fault.h"
#include "hw/vtd/iotlb.h"
#include "hw/vtd/nested_tlb.h"
#include "hw/vtd/table_walk.h"
#include "schedule/cache_word.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {
namespace {

constexpr std::uint64_t kWidth = std::uint64_t{1} << 48U;
constexpr std::uint64_t kIdentityRun = std::uint64_t{1} << 30U;
constexpr std::uint64_t kRootSet = 1;  // in the low bit of a root table's address

std::size_t index(TBit side) { return std::to_underlying(side); }

bool in_interrupt_range(Iova address) {
  return address >= kInterruptRangeStart && address <= kInterruptRangeLast;
}

Iommu::Translation identity(Iova address, std::uint64_t contiguous_bytes, std::uint16_t domain) {
  return {.address = Hpa{raw(address)},
          .contiguous_bytes = contiguous_bytes,
          .domain = domain,
          .writable = true,
          .key = KeyId::kShared};
}

std::uint64_t identity_run(Iova address) {
  return kIdentityRun - (raw(address) & (kIdentityRun - 1));
}

/// Not even a page that maps the interrupt range reaches into it.
Iommu::Translation clear_of_interrupts(Requester from, Iova address, Iommu::Translation found) {
  if (!from.pasid && address < kInterruptRangeStart)
    found.contiguous_bytes = std::min(found.contiguous_bytes, kInterruptRangeStart - address);
  return found;
}

}  // namespace

struct VtdIommu::Impl {
  Impl(PhysicalMemory& m, object::Trace& events, std::uint32_t n)
      : memory(m), trace(events), id(n) {}

  PhysicalMemory& memory;
  object::Trace& trace;
  const std::uint32_t id;
  Iotlb iotlb;
  NestedTlb nested;
  ContextCache contexts;
  std::array<schedule::CacheWord, 2> roots;
  // The scheduling point of requests, which read a side, and commands, which write it.
  schedule::Turn turn;
  // Grows with each command: a walk that began before one is not cached after it.
  std::array<schedule::CacheWord, 2> generations;

  mutable schedule::RawLock lock;  // of what follows, and of writes to the caches
  struct DomainKey {
    KeyId key;
    std::optional<Iova> shared_from;
  };
  std::array<std::map<std::uint16_t, DomainKey>, 2> keys;
  std::optional<IommuFault> last_fault;
  std::uint64_t last_fault_generation = 0;
  std::uint64_t faults = 0;

  struct Request {
    Requester from;
    TBit t;
    Iova address;
    DmaAccess access;
    std::uint64_t generation;  ///< when it came
  };

  std::unexpected<IommuFault> refuse(const Request& request, FaultReason reason) {
    const IommuFault fault{.rid = request.from.rid,
                           .address = request.address,
                           .access = request.access,
                           .t = request.t,
                           .reason = std::to_underlying(reason),
                           .text = fault_text(reason),
                           .pasid = request.from.pasid};
    const schedule::RawLockGuard guard(lock);
    ++faults;
    // A device that goes on hitting the same wall is reported once.
    const bool repeated = last_fault && last_fault->rid == fault.rid && last_fault->t == fault.t &&
                          last_fault->pasid == fault.pasid && last_fault->reason == fault.reason &&
                          last_fault_generation == request.generation;
    last_fault = fault;
    last_fault_generation = request.generation;
    if (!repeated) report(fault);
    return std::unexpected(fault);
  }

  void report(const IommuFault& fault) {
    auto call =
        trace.call(object::Lane::kDevice, object::Lane::kDevice, "DMA",
                   {.detail = fmt::format(
                        "iova={:#x} t={} {}{}", raw(fault.address), index(fault.t),
                        fault.access == DmaAccess::kRead ? "read" : "write",
                        fault.pasid ? fmt::format(" pasid={}", std::to_underlying(*fault.pasid))
                                    : std::string()),
                    .function = Bdf::from_rid(fault.rid)});
    call.refuse("IOMMU fault", fault.text);
  }

  /// Runs `insert` unless a command came since the request did.
  template <class Insert>
  void remember(const Request& request, Insert insert) {
    const schedule::RawLockGuard guard(lock);
    if (generations[index(request.t)].load() == request.generation) insert();
  }

  /// kUpdate: in which order caches forget is not to be seen.
  template <class Change>
  void command(TBit side, schedule::Touch::How how, Change change) {
    turn.take(schedule::part(1, index(side)), how);
    const schedule::RawLockGuard guard(lock);
    generations[index(side)].store(generations[index(side)].load() + 1);
    change();
  }

  std::expected<ContextEntry, FaultReason> context_of(const Request& request, Hpa root) {
    {
      const schedule::RawLockGuard guard(lock);
      if (const auto cached = contexts.entry(request.t, request.from)) return *cached;
    }
    const auto walked = TableWalk(memory, request.t).context(root, request.from);
    if (walked) remember(request, [&] { contexts.insert(request.t, request.from, *walked); });
    return walked;
  }

  static bool is_interrupt(const Request& request) {
    return !request.from.pasid && in_interrupt_range(request.address);
  }
  static NestedTlb::Space space_of(const Request& request, std::uint16_t domain) {
    return {.side = request.t, .domain = domain, .pasid = request.from.pasid.value_or(Pasid{0})};
  }
  static bool canonical(Iova address) {
    const std::uint64_t top = raw(address) >> 47U;
    return top == 0 || top == 0x1ffff;
  }
  /// What the IOTLB has for a request that is not pass-through.
  [[nodiscard]] std::optional<IotlbEntry> look_up(const Request& request, ContextEntry::Kind kind,
                                                  std::uint16_t domain) const {
    if (kind == ContextEntry::Kind::kNested)
      return canonical(request.address) ? nested.find(space_of(request, domain), request.address)
                                        : std::nullopt;
    if (raw(request.address) >= kWidth) return std::nullopt;
    return iotlb.find(request.t, domain, request.address);
  }

  std::expected<IotlbEntry, FaultReason> walk(const Request& request, const ContextEntry& context) {
    auto walked =
        TableWalk(memory, request.t).translation(context, request.address, request.access);
    if (!walked) return walked;
    {
      const schedule::RawLockGuard guard(lock);
      const auto& table = keys[index(request.t)];
      const auto found = table.find(context.domain);
      if (request.t == TBit::kTrusted && found == table.end())
        return std::unexpected(FaultReason::kPasidEntryInvalid);
      if (found != table.end() && !in_shared_half(found->second, request.address))
        walked->key = found->second.key;
    }
    remember(request, [&] {
      if (context.kind == ContextEntry::Kind::kNested)
        nested.insert(space_of(request, context.domain), request.address, *walked);
      else
        iotlb.insert(request.t, context.domain, request.address, *walked);
    });
    return walked;
  }

  static bool in_shared_half(const DomainKey& domain, Iova address) {
    return domain.shared_from && address >= *domain.shared_from;
  }
  static bool permits(const IotlbEntry& entry, DmaAccess access) {
    return access == DmaAccess::kRead ? entry.readable : entry.writable;
  }

  /// The common case, without a walk and without a lock: nullopt when anything
  /// is out of the ordinary.
  std::optional<Translation> cached(const Request& request) const {
    if (is_interrupt(request) || (roots[index(request.t)].load() & kRootSet) == 0)
      return std::nullopt;
    const auto context = contexts.find(request.t, request.from);
    if (!context || context->kind == ContextEntry::Kind::kPassThrough) return std::nullopt;
    const auto entry = look_up(request, context->kind, context->domain);
    if (!entry || !permits(*entry, request.access)) return std::nullopt;
    return translation(request, *entry, context->domain);
  }

  /// Adds the cached pages that follow `run` in both spaces.
  void extend(const Request& request, std::uint64_t size_bytes, Translation& run) const {
    const auto context = contexts.find(request.t, request.from);
    if (!context || context->kind == ContextEntry::Kind::kPassThrough ||
        context->domain != run.domain)
      return;
    while (run.contiguous_bytes < size_bytes) {
      Request next = request;
      next.address = request.address + run.contiguous_bytes;
      if (is_interrupt(next)) return;
      const auto entry = look_up(next, context->kind, run.domain);
      if (!entry || !permits(*entry, next.access)) return;
      const Translation more = translation(next, *entry, run.domain);
      if (more.address != run.address + run.contiguous_bytes || more.key != run.key) return;
      run.contiguous_bytes += more.contiguous_bytes;
      run.writable &= more.writable;
    }
  }

  static Translation translation(const Request& request, const IotlbEntry& entry,
                                 std::uint16_t domain) {
    const std::uint64_t size = std::uint64_t{1} << entry.shift;
    const std::uint64_t offset = raw(request.address) & (size - 1);
    return {.address = entry.page + offset,
            .contiguous_bytes = size - offset,
            .domain = domain,
            .writable = entry.writable,
            .key = entry.key,
            .shared_half = request.t == TBit::kTrusted && entry.key == KeyId::kShared};
  }

  std::expected<Translation, FaultReason> translate(const Request& request) {
    if (is_interrupt(request)) {
      if (request.access == DmaAccess::kRead)
        return std::unexpected(FaultReason::kInterruptAddress);
      return identity(request.address, kInterruptRangeLast - request.address + 1, 0);
    }
    const std::uint64_t root = roots[index(request.t)].load();
    if ((root & kRootSet) == 0) {
      if (request.t == TBit::kTrusted) return std::unexpected(FaultReason::kRootTableAddress);
      return identity(request.address, identity_run(request.address), 0);
    }
    const auto context = context_of(request, Hpa{root & ~kRootSet});
    if (!context) return std::unexpected(context.error());
    if (context->kind == ContextEntry::Kind::kPassThrough) {
      // VT-d 3.14: only a page table leads a request with PASID there.
      if (in_interrupt_range(request.address))
        return std::unexpected(FaultReason::kInterruptAddress);
      return identity(request.address, identity_run(request.address), context->domain);
    }
    return translate_pages(request, *context);
  }

  std::expected<Translation, FaultReason> translate_pages(const Request& request,
                                                          const ContextEntry& context) {
    if (context.kind == ContextEntry::Kind::kSecondStage && raw(request.address) >= kWidth)
      return std::unexpected(FaultReason::kAddressBeyondWidth);
    if (const auto entry = look_up(request, context.kind, context.domain);
        entry && permits(*entry, request.access))
      return translation(request, *entry, context.domain);
    const auto walked = walk(request, context);
    if (!walked) return std::unexpected(walked.error());
    if (!permits(*walked, request.access))
      return std::unexpected(FaultReason::kSecondStagePermission);
    return translation(request, *walked, context.domain);
  }
};

VtdIommu::VtdIommu(PhysicalMemory& memory, object::Trace& trace, std::uint32_t id)
    : impl_(std::make_unique<Impl>(memory, trace, id)) {}
VtdIommu::~VtdIommu() = default;

std::uint32_t VtdIommu::id() const { return impl_->id; }

template <class Change>
void VtdIommu::command(TBit side, schedule::Touch::How how, Change change) {
  impl_->command(side, how, change);
  in_flight(side).drain();
}

void VtdIommu::set_root(TBit side, std::optional<Hpa> root_table) {
  command(side, schedule::Touch::How::kWrite, [&] {
    impl_->roots[index(side)].store(root_table ? raw(page_of(*root_table)) | kRootSet : 0);
  });
}

std::optional<Hpa> VtdIommu::root(TBit side) const {
  const std::uint64_t root = impl_->roots[index(side)].load();
  return (root & kRootSet) != 0 ? std::optional(Hpa{root & ~kRootSet}) : std::nullopt;
}

std::expected<Iommu::Translation, IommuFault> VtdIommu::translate(Requester from, TBit t,
                                                                  Iova address, DmaAccess access) {
  impl_->turn.take(schedule::part(1, index(t)), schedule::Touch::How::kRead);
  impl_->memory.touch_tables(
      t == TBit::kTrusted ? PhysicalMemory::Tables::kTrusted : PhysicalMemory::Tables::kShared,
      schedule::Touch::How::kRead);
  const Impl::Request request{.from = from,
                              .t = t,
                              .address = address,
                              .access = access,
                              .generation = impl_->generations[index(t)].load()};
  if (const auto hit = impl_->cached(request)) return clear_of_interrupts(from, address, *hit);
  const auto found = impl_->translate(request);
  if (!found) return impl_->refuse(request, found.error());
  return clear_of_interrupts(from, address, *found);
}

std::expected<Iommu::Translation, IommuFault> VtdIommu::translate_run(Requester from, TBit t,
                                                                      Iova address,
                                                                      std::uint64_t size_bytes,
                                                                      DmaAccess access) {
  auto found = translate(from, t, address, access);
  if (!found || found->contiguous_bytes >= size_bytes || !root(t)) return found;
  const Impl::Request request{
      .from = from, .t = t, .address = address, .access = access, .generation = 0};
  impl_->extend(request, size_bytes, *found);
  return clear_of_interrupts(from, address, *found);
}

void VtdIommu::set_domain_key(TBit side, std::uint16_t domain, KeyId key,
                              std::optional<Iova> shared_from) {
  command(side, schedule::Touch::How::kWrite, [&] {
    auto& keys = impl_->keys[index(side)];
    if (key == KeyId::kShared)
      keys.erase(domain);
    else
      keys[domain] = {.key = key, .shared_from = shared_from};
    impl_->iotlb.drop_domain(side, domain);
  });
}

void VtdIommu::invalidate_all(TBit side) {
  command(side, schedule::Touch::How::kUpdate, [&] {
    impl_->contexts.drop_side(side);
    impl_->iotlb.drop_side(side);
    impl_->nested.drop_side(side);
  });
}

void VtdIommu::invalidate_contexts(TBit side) {
  command(side, schedule::Touch::How::kUpdate, [&] { impl_->contexts.drop_side(side); });
}

void VtdIommu::invalidate_domain(TBit side, std::uint16_t domain) {
  command(side, schedule::Touch::How::kUpdate, [&] {
    impl_->iotlb.drop_domain(side, domain);
    impl_->nested.drop_domain(side, domain);
  });
}

void VtdIommu::invalidate_range(TBit side, std::uint16_t domain, Iova start,
                                std::uint64_t size_bytes) {
  command(side, schedule::Touch::How::kUpdate, [&] {
    impl_->iotlb.drop_range(side, domain, start, size_bytes);
    impl_->nested.drop_domain(side, domain);
  });
}

void VtdIommu::invalidate_pasid_range(TBit side, std::uint16_t domain, Pasid pasid, Iova first,
                                      Iova last) {
  command(side, schedule::Touch::How::kUpdate, [&] {
    impl_->nested.drop_range({.side = side, .domain = domain, .pasid = pasid}, first, last);
  });
}

void VtdIommu::invalidate_pasid(TBit side, std::uint16_t domain, Pasid pasid) {
  command(side, schedule::Touch::How::kUpdate,
          [&] { impl_->nested.drop_space({.side = side, .domain = domain, .pasid = pasid}); });
}

void VtdIommu::invalidate_pasid_cache(TBit side, std::uint16_t domain, Pasid pasid) {
  command(side, schedule::Touch::How::kUpdate,
          [&] { impl_->contexts.drop_pasid(side, domain, pasid); });
}

void VtdIommu::invalidate_function(TBit side, std::uint16_t rid) {
  command(side, schedule::Touch::How::kUpdate, [&] { impl_->contexts.drop_function(side, rid); });
}

std::uint64_t VtdIommu::generation(TBit side) const {
  return impl_->generations[index(side)].load();
}

std::optional<IommuFault> VtdIommu::last_fault() const {
  const schedule::RawLockGuard guard(impl_->lock);
  return impl_->last_fault;
}

std::uint64_t VtdIommu::fault_count() const {
  const schedule::RawLockGuard guard(impl_->lock);
  return impl_->faults;
}

}  // namespace teeio::hw
