#include "hw/amd_iommu/amd_iommu.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hw/amd_iommu/commands.h"
#include "hw/amd_iommu/iotlb.h"
#include "hw/amd_iommu/registers_file.h"
#include "hw/amd_iommu/table_walk.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {
namespace {

using amd::DeviceEntry;
using amd::Event;
using amd::Fault;
using amd::Page;

constexpr std::uint64_t kIdentityRun = std::uint64_t{1} << 30U;

bool in_range(Iova address, Iova first, Iova last) { return address >= first && address <= last; }

Iommu::Translation identity(Iova address, std::uint16_t domain, bool writable) {
  return {.address = Hpa{raw(address)},
          .contiguous_bytes = kIdentityRun - (raw(address) & (kIdentityRun - 1)),
          .domain = domain,
          .writable = writable,
          .key = KeyId::kShared};
}

/// Not even a page that maps a range that is never translated reaches into it.
Iommu::Translation clear_of_special(Iova address, Iommu::Translation found) {
  for (const Iova start : {kInterruptRangeStart, kHtRangeStart})
    if (address < start) found.contiguous_bytes = std::min(found.contiguous_bytes, start - address);
  return found;
}

Iommu::Translation translation(Iova address, const Page& page, std::uint16_t domain) {
  const std::uint64_t size = std::uint64_t{1} << page.shift;
  const std::uint64_t offset = raw(address) & (size - 1);
  return {.address = page.address + offset,
          .contiguous_bytes = size - offset,
          .domain = domain,
          .writable = page.writable,
          .key = KeyId::kShared};
}

template <class Entry>
bool permits(const Entry& entry, DmaAccess access) {
  return access == DmaAccess::kRead ? entry.readable : entry.writable;
}

std::unexpected<Fault> not_permitted(std::string_view text) {
  return std::unexpected(Fault{.event = Event::kIoPageFault,
                               .flags = amd::kFlagPresent | amd::kFlagPermission,
                               .text = text});
}

/// No public document has the events of the secure tables: the names are the model's choice.
Fault fault_of(const SecureRefusal& refusal) {
  switch (refusal.kind) {
    case SecureRefusal::Kind::kNoEntry:
      return {.event = Event::kIllegalDeviceTableEntry, .flags = 0, .text = refusal.why};
    case SecureRefusal::Kind::kNotPermitted:
      return not_permitted(refusal.why).error();
    case SecureRefusal::Kind::kRmp:
      return {.event = Event::kRmpPageFault, .flags = 0, .text = refusal.why};
    case SecureRefusal::Kind::kFenced:
      return {.event = Event{}, .flags = 0, .text = refusal.why};
  }
  return {};
}

}  // namespace

struct AmdIommu::Impl {
  Impl(PhysicalMemory& m, object::Trace& events, std::uint32_t n)
      : memory(m), trace(events), id(n), registers(m) {}

  PhysicalMemory& memory;
  object::Trace& trace;
  const std::uint32_t id;
  amd::RegisterFile registers;
  amd::Iotlb iotlb;
  amd::DeviceCache devices;
  SecureSide* secure = nullptr;
  // The scheduling point of requests, which read it, and of register writes.
  schedule::Turn turn;
  // Grows with each write: a walk that began before one is not cached after it.
  schedule::CacheWord generation;

  mutable schedule::RawLock lock;  // of what follows, and of writes to the caches
  std::optional<IommuFault> last_fault;
  std::uint64_t last_fault_generation = 0;
  std::uint64_t faults = 0;

  struct Request {
    std::uint16_t rid;
    TBit t;
    Iova address;
    DmaAccess access;
    std::uint64_t generation;  ///< when it came
  };

  template <class Change>
  void change(Change apply) {
    const schedule::RawLockGuard guard(lock);
    generation.store(generation.load() + 1);
    apply();
  }
  /// Runs `insert` unless something changed since the request came.
  template <class Insert>
  void remember(const Request& request, Insert insert) {
    const schedule::RawLockGuard guard(lock);
    if (generation.load() == request.generation) insert();
  }

  std::unexpected<IommuFault> refuse(const Request& request, const Fault& fault);
  void report(const IommuFault& fault);
  void log(const Request& request, const Fault& fault, std::uint16_t domain);
  std::expected<Translation, Fault> translate(const Request& request);
  std::expected<Translation, Fault> special(const Request& request) const;
  std::expected<Translation, Fault> host_tables(const Request& request);
  std::expected<Translation, Fault> trusted(const Request& request);
  std::expected<DeviceEntry, Fault> device_of(const Request& request);
  void extend(const Request& request, std::uint64_t size_bytes, Translation& run) const;
  void run_commands();
  void execute(const amd::DecodedCommand& command, Hpa at);
};

// Faults.

std::unexpected<IommuFault> AmdIommu::Impl::refuse(const Request& request, const Fault& fault) {
  const IommuFault refused{.rid = request.rid,
                           .address = request.address,
                           .access = request.access,
                           .t = request.t,
                           .reason = std::to_underlying(fault.event),
                           .text = fault.text};
  bool repeated = false;
  {
    const schedule::RawLockGuard guard(lock);
    ++faults;
    // A device that goes on hitting the same wall is reported once.
    repeated = last_fault && last_fault->rid == refused.rid && last_fault->t == refused.t &&
               last_fault->reason == refused.reason && last_fault_generation == request.generation;
    last_fault = refused;
    last_fault_generation = request.generation;
  }
  if (!repeated) report(refused);
  if (fault.event == Event{}) return std::unexpected(refused);  // fenced: nothing new
  const auto device = devices.find(request.rid);
  log(request, fault, device ? device->domain : std::uint16_t{0});
  if (request.t == TBit::kTrusted && secure != nullptr) secure->request_failed(request.rid);
  return std::unexpected(refused);
}

void AmdIommu::Impl::report(const IommuFault& fault) {
  auto call = trace.call(
      object::Lane::kDevice, object::Lane::kDevice, "DMA",
      {.detail = fmt::format("iova={:#x} t={} {}", raw(fault.address), std::to_underlying(fault.t),
                             fault.access == DmaAccess::kRead ? "read" : "write"),
       .function = Bdf::from_rid(fault.rid)});
  call.refuse("IOMMU fault", fault.text);
}

/// Source: specification 2.5.3 and 2.5.4: requester, domain, flags, code; the address.
void AmdIommu::Impl::log(const Request& request, const Fault& fault, std::uint16_t domain) {
  std::uint64_t flags = fault.flags;
  if (request.access == DmaAccess::kWrite) flags |= amd::kFlagWrite;
  const bool has_domain =
      fault.event == Event::kIoPageFault || fault.event == Event::kPageTableHardwareError;
  const std::uint64_t low = request.rid | (has_domain ? std::uint64_t{domain} << 32U : 0) |
                            flags << 48U | std::uint64_t{std::to_underlying(fault.event)} << 60U;
  registers.log(low, raw(request.address));
}

// Requests.

std::expected<Iommu::Translation, Fault> AmdIommu::Impl::special(const Request& request) const {
  const bool interrupt = in_range(request.address, kInterruptRangeStart, kInterruptRangeLast);
  if (interrupt && request.access == DmaAccess::kWrite) {
    Translation found = identity(request.address, 0, true);
    found.contiguous_bytes = kInterruptRangeLast - request.address + 1;
    return found;
  }
  return std::unexpected(Fault{.event = Event::kInvalidDeviceRequest,
                               .flags = 0,
                               .text = interrupt ? "the interrupt range cannot be read"
                                                 : "the address is in HyperTransport's range"});
}

std::expected<Iommu::Translation, Fault> AmdIommu::Impl::translate(const Request& request) {
  if (in_range(request.address, kInterruptRangeStart, kInterruptRangeLast)) return special(request);
  if (request.t == TBit::kTrusted) return trusted(request);
  if (!registers.enabled()) return identity(request.address, 0, true);
  return host_tables(request);
}

std::expected<DeviceEntry, Fault> AmdIommu::Impl::device_of(const Request& request) {
  if (const auto cached = devices.find(request.rid)) return *cached;
  const auto walked =
      amd::TableWalk(memory).device(registers.device_table(), request.rid, secure != nullptr);
  if (walked) remember(request, [&] { devices.insert(request.rid, *walked); });
  return walked;
}

std::expected<Iommu::Translation, Fault> AmdIommu::Impl::host_tables(const Request& request) {
  const auto device = device_of(request);
  if (!device) return std::unexpected(device.error());
  if (in_range(request.address, kHtRangeStart, kHtRangeLast)) return special(request);
  if (!permits(*device, request.access))
    return not_permitted("the device table entry does not permit the access");
  if (device->mode == 0) return identity(request.address, device->domain, device->writable);
  if (const auto cached = iotlb.find(device->domain, request.address);
      cached && permits(*cached, request.access))
    return translation(request.address, *cached, device->domain);
  const auto walked = amd::TableWalk(memory).page(*device, request.address, request.access);
  if (!walked) return std::unexpected(walked.error());
  remember(request, [&] { iotlb.insert(device->domain, request.address, *walked); });
  if (!permits(*walked, request.access))
    return not_permitted("a page table entry does not permit the access");
  return translation(request.address, *walked, device->domain);
}

std::expected<Iommu::Translation, Fault> AmdIommu::Impl::trusted(const Request& request) {
  if (secure == nullptr || !registers.enabled())
    return std::unexpected(Fault{.event = Event::kInvalidDeviceRequest,
                                 .flags = 0,
                                 .text = "the IOMMU has no secure device table"});
  const auto entry = secure->entry(request.rid);
  if (!entry) return std::unexpected(fault_of(entry.error()));
  if (!permits(*entry, request.access))
    return not_permitted("the secure device table entry does not permit the access");
  auto found = host_tables(request);
  if (!found) return found;
  const auto key = secure->check(*entry, Gpa{raw(page_of(request.address))},
                                 page_of(found->address), request.access);
  if (!key) return std::unexpected(fault_of(key.error()));
  found->contiguous_bytes =
      std::min(found->contiguous_bytes, kPageSize - offset_in_page(found->address));
  found->key = *key;
  return found;
}

/// Adds the cached pages that follow `run` in both spaces.
void AmdIommu::Impl::extend(const Request& request, std::uint64_t size_bytes,
                            Translation& run) const {
  const auto device = devices.find(request.rid);
  if (!device || device->mode == 0 || device->domain != run.domain) return;
  while (run.contiguous_bytes < size_bytes) {
    const Iova next = request.address + run.contiguous_bytes;
    if (next < request.address || in_range(next, kInterruptRangeStart, kInterruptRangeLast) ||
        in_range(next, kHtRangeStart, kHtRangeLast))
      return;
    const auto page = iotlb.find(run.domain, next);
    if (!page || !permits(*page, request.access)) return;
    const Translation more = translation(next, *page, run.domain);
    if (more.address != run.address + run.contiguous_bytes) return;
    run.contiguous_bytes += more.contiguous_bytes;
    run.writable &= more.writable;
  }
}

// Commands.

void AmdIommu::Impl::run_commands() {
  while (const auto at = registers.next_command()) {
    const auto low = memory.read_u64(*at);
    const auto high = memory.read_u64(*at + 8);
    const auto command = low && high ? amd::decode_command(*low, *high) : std::nullopt;
    if (!command) {
      const Event event = low && high ? Event::kIllegalCommandError : Event::kCommandHardwareError;
      registers.log(std::uint64_t{std::to_underlying(event)} << 60U, raw(*at));
      return registers.stop_commands();
    }
    execute(*command, *at);
    registers.command_done();
  }
}

void AmdIommu::Impl::execute(const amd::DecodedCommand& command, Hpa at) {
  using enum amd::Command;
  switch (command.opcode) {
    case kCompletionWait:
      // A store that nothing answers is lost on the bus.
      if (command.stores) (void)memory.write_u64(command.store_at, command.data);
      if (command.interrupts) registers.completion_interrupt();
      return;
    case kInvalidateDevtabEntry:
      return change([&] { devices.drop(command.requester); });
    case kInvalidateIommuPages:
      return change([&] { iotlb.drop_range(command.domain, command.first, command.last); });
    case kInvalidateIommuAll:
      return change([&] {
        devices.drop_all();
        iotlb.drop_all();
      });
    case kInvalidateIotlbPages:
      // No function has ATS, so nobody answers: 2.5.9.
      registers.log(command.requester |
                        std::uint64_t{std::to_underlying(Event::kIotlbInvalidationTimeout)} << 60U,
                    raw(at));
      return;
    case kInvalidateInterruptTable:
      return;  // interrupts are not remapped by this model, so no table is cached
  }
}

// The class.

AmdIommu::AmdIommu(PhysicalMemory& memory, object::Trace& trace, std::uint32_t id)
    : impl_(std::make_unique<Impl>(memory, trace, id)) {}
AmdIommu::~AmdIommu() = default;

std::uint32_t AmdIommu::id() const { return impl_->id; }

std::uint64_t AmdIommu::read_register(std::uint32_t offset) const {
  return impl_->registers.read(offset);
}

void AmdIommu::write_register(std::uint32_t offset, std::uint64_t value) {
  if (offset == amd::kDeviceTable || offset == amd::kControl) {
    impl_->turn.take(0, schedule::Touch::How::kWrite);
    impl_->change([&] { impl_->registers.write(offset, value); });
    return;
  }
  impl_->registers.write(offset, value);
  if (offset != amd::kCommandTail) return;
  impl_->turn.take(0, schedule::Touch::How::kWrite);
  impl_->run_commands();
}

void AmdIommu::set_event_interrupt(std::function<void()> interrupt) {
  impl_->registers.set_event_interrupt(std::move(interrupt));
}

void AmdIommu::set_secure_side(SecureSide& side) {
  impl_->registers.set_features(amd::kSnpSupported, amd::kSevTioSupported);
  impl_->change([&] {
    impl_->secure = &side;
    impl_->devices.drop_all();
  });
}

std::expected<Iommu::Translation, IommuFault> AmdIommu::translate(Requester from, TBit t,
                                                                  Iova address, DmaAccess access) {
  impl_->turn.take(0, schedule::Touch::How::kRead);
  impl_->memory.touch_tables(PhysicalMemory::Tables::kShared, schedule::Touch::How::kRead);
  if (t == TBit::kTrusted)  // the secure device table and the fences too
    impl_->memory.touch_tables(PhysicalMemory::Tables::kTrusted, schedule::Touch::How::kRead);
  const Impl::Request request{.rid = from.rid,
                              .t = t,
                              .address = address,
                              .access = access,
                              .generation = impl_->generation.load()};
  // No device table entry here has a guest's tables (GV), which a PASID chooses from.
  if (from.pasid)
    return impl_->refuse(request, {.event = amd::Event::kInvalidDeviceRequest,
                                   .flags = 0,
                                   .text = "requests with PASID need a guest's tables"});
  const auto found = impl_->translate(request);
  if (!found) return impl_->refuse(request, found.error());
  return clear_of_special(address, *found);
}

std::expected<Iommu::Translation, IommuFault> AmdIommu::translate_run(Requester from, TBit t,
                                                                      Iova address,
                                                                      std::uint64_t size_bytes,
                                                                      DmaAccess access) {
  auto found = translate(from, t, address, access);
  if (!found || t == TBit::kTrusted || found->contiguous_bytes >= size_bytes) return found;
  const Impl::Request request{
      .rid = from.rid, .t = t, .address = address, .access = access, .generation = 0};
  impl_->extend(request, size_bytes, *found);
  return clear_of_special(address, *found);
}

std::uint64_t AmdIommu::generation(TBit side) const {
  const std::uint64_t own = impl_->generation.load();
  return side == TBit::kTrusted && impl_->secure != nullptr ? own + impl_->secure->generation()
                                                            : own;
}

std::optional<IommuFault> AmdIommu::last_fault() const {
  const schedule::RawLockGuard guard(impl_->lock);
  return impl_->last_fault;
}

std::uint64_t AmdIommu::fault_count() const {
  const schedule::RawLockGuard guard(impl_->lock);
  return impl_->faults;
}

}  // namespace teeio::hw
