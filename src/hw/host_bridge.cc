#include "hw/host_bridge.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "base/check.h"
#include "schedule/controller.h"
#include "schedule/monitor.h"
#include "schedule/races.h"
#include "schedule/raw_lock.h"
#include "schedule/seeded_bug.h"

namespace teeio::hw {
namespace {

/// A piece of a request whose bytes lie together in memory: one call on the bus.
struct Run {
  Hpa address;
  std::uint64_t size;
  KeyId key;
  bool shared_half = false;  ///< as Iommu::Translation
};

KeyId key_for(const PhysicalMemory& memory, const Run& run) {
  return schedule::seeded("owner-unchecked") ? memory.key_of(run.address) : run.key;
}
Result<void> transfer(PhysicalMemory& memory, const Run& run, std::span<std::byte> out) {
  return memory.read(run.address, out, key_for(memory, run));
}
Result<void> transfer(PhysicalMemory& memory, const Run& run, ByteView in) {
  return memory.write(run.address, in, key_for(memory, run));
}
Result<void> peer_transfer(PhysicalMemory& memory, Hpa address, std::span<std::byte> out) {
  return memory.peer_read(address, out);
}
Result<void> peer_transfer(PhysicalMemory& memory, Hpa address, ByteView in) {
  return memory.peer_write(address, in);
}
constexpr DmaAccess access_of(std::span<std::byte>) { return DmaAccess::kRead; }
constexpr DmaAccess access_of(ByteView) { return DmaAccess::kWrite; }

}  // namespace

struct HostBridge::Impl {
  Impl(PhysicalMemory& m, object::Trace& events, InterruptSink& sink, std::uint16_t number)
      : memory(m), trace(events), interrupts(sink), domain(number) {}

  /// What was last told to the trace about a requester.
  struct Told {
    object::DmaKind kind;
    std::uint64_t generation;
    bool operator==(const Told&) const = default;
  };
  struct Function {
    PciFunction* function;
    RootPort* root_port;
    Iommu* iommu;
  };

  PhysicalMemory& memory;
  object::Trace& trace;
  InterruptSink& interrupts;
  const std::uint16_t domain;
  std::map<std::uint16_t, Function> functions;  // by requester id
  std::vector<RootPort*> root_ports;

  schedule::RawLock telling;
  std::map<std::uint16_t, Told> told;  // by requester id

  void add(PciFunction& function, RootPort* above, Iommu& iommu) {
    const Bdf bdf = function.bdf();
    TEEIO_CHECK(bdf.domain == domain, "a function is of another PCI domain");
    const bool added =
        functions
            .emplace(bdf.rid(),
                     Function{.function = &function, .root_port = above, .iommu = &iommu})
            .second;
    TEEIO_CHECK(added, "two functions have one address");
  }

  [[nodiscard]] RootPort* port_above(std::uint8_t bus) const {
    const auto at = std::ranges::find_if(root_ports, [bus](const RootPort* port) {
      return port->secondary_bus() <= bus && bus <= port->subordinate_bus();
    });
    return at == root_ports.end() ? nullptr : *at;
  }

  /// A piece of a shared write that was translated and is on its way. A card's request is one
  /// section, in which nobody waits; what it writes to memory arrives, explored, in a move after
  /// that. (Not trusted ones: a firmware's invalidations are in its sections, and do not wait.)
  /// Source: PCIe Base Spec 2.4.1: posted requests (messages too) stay in order, and neither a
  /// read nor a completion of the same function passes them. Those of another function may: an
  /// assumption, right with ID-based ordering; where a card's is off, nothing on its link passes.
  struct Posted {
    explicit Posted(const Function& function)
        : from(function), passing(function.iommu->in_flight(TBit::kShared)) {}
    const Function& from;
    const RequestsInFlight::Request passing;
    Iova address{0};
    Hpa to{0};
    KeyId key = KeyId::kShared;
    Bytes bytes{};
  };
  // A run's, so that moves order what is done to them; natively there are none.
  const schedule::Turn posting{"posted writes"};                        ///< a part a requester
  std::map<std::uint16_t, std::deque<std::unique_ptr<Posted>>> posted;  // by requester id

  /// A call that is due when the section is over.
  struct Arrival {
    Impl& bridge;
    std::uint16_t rid;
  };
  static void arrive(void* arrival);
  void touch_posted(std::uint16_t rid, schedule::Touch::How how) const {
    posting.touch(schedule::part(1, rid), how);
  }
  /// The first that has not arrived yet; null: there is none.
  [[nodiscard]] Posted* next_posted(std::uint16_t rid);
  /// All that is on its way from there arrives, in order; outside of a section, in a move.
  void push(std::uint16_t rid);
  void land(const Posted& write, std::uint16_t rid);
  /// Its function never knows. Its translation has gone, or its page, and nobody drained.
  void tell_lost(const Posted& write, const Error& error);
  /// The first bytes of a run whose pages are as the first one is.
  [[nodiscard]] std::uint64_t bytes_of_one_key(const Run& run) const;
  bool post(const Function& from, TBit t, Iova address, const Run& run, std::span<std::byte> out);
  bool post(const Function& from, TBit t, Iova address, const Run& run, ByteView in);

  template <class Span>
  Result<void> request(Requester from, TBit t, Iova address, Span data);
  template <class Span>
  Result<void> carry_out(const Run& run, TBit t, Span data);
  Result<Run> next_run(const Function& function, Requester from, TBit t, Iova address,
                       std::uint64_t size, DmaAccess access);
  Result<void> signal(std::uint16_t rid, Iova address, ByteView in);
  void tell(const Function& from, std::uint16_t rid, TBit t, Iova address, const Run& run,
            std::uint64_t streams);
};

Result<Run> HostBridge::Impl::next_run(const Function& function, Requester from, TBit t,
                                       Iova address, std::uint64_t size, DmaAccess access) {
  const auto found = function.iommu->translate_run(from, t, address, size, access);
  if (!found) return fail(Errno::kFault, found.error().text);
  return Run{.address = found->address,
             .size = std::min(found->contiguous_bytes, size),
             .key = found->key,
             .shared_half = found->shared_half};
}

template <class Span>
Result<void> HostBridge::Impl::carry_out(const Run& run, TBit t, Span data) {
  if (!memory.is_mmio(run.address)) return transfer(memory, run, data);
  // The peer's lock may not be taken below this function's, so registers are out
  // of reach, as behind a root port whose ACS redirects peer requests.
  if (t == TBit::kTrusted)
    return fail(Errno::kFault, "trusted peer-to-peer requests are not modelled");
  return peer_transfer(memory, run.address, data);
}

/// A read is not posted.
bool HostBridge::Impl::post(const Function& from, TBit, Iova, const Run&, std::span<std::byte>) {
  push(from.function->bdf().rid());
  return false;
}

/// False: it is carried out now. So is what would fail, that its function knows.
bool HostBridge::Impl::post(const Function& from, TBit t, Iova address, const Run& run,
                            ByteView in) {
  const std::uint16_t rid = from.function->bdf().rid();
  const schedule::Controller* const explored = schedule::controller();
  if (explored == nullptr || !explored->in_section() || t == TBit::kTrusted ||
      memory.is_mmio(run.address) || memory.key_of(run.address) != run.key)
    return push(rid), false;
  const schedule::Unwatched unwatched;
  auto write = std::make_unique<Posted>(from);
  write->address = address;
  write->to = run.address;
  write->key = run.key;
  write->bytes.assign(in.begin(), in.end());
  touch_posted(rid, schedule::Touch::How::kWrite);
  posted[rid].push_back(std::move(write));
  schedule::after_section(&arrive, new Arrival{*this, rid});
  return true;
}

void HostBridge::Impl::arrive(void* arrival) {
  const std::unique_ptr<Arrival> due(static_cast<Arrival*>(arrival));
  due->bridge.push(due->rid);
}

HostBridge::Impl::Posted* HostBridge::Impl::next_posted(std::uint16_t rid) {
  touch_posted(rid, schedule::Touch::How::kRead);
  const schedule::Unwatched unwatched;
  const auto queue = posted.find(rid);
  return queue == posted.end() || queue->second.empty() ? nullptr : queue->second.front().get();
}

void HostBridge::Impl::push(std::uint16_t rid) {
  const schedule::Controller* const explored = schedule::controller();
  if (explored == nullptr || next_posted(rid) == nullptr) return;
  // A move of its own, of which what is told is a part: after somebody's section (a DOE mailbox's,
  // whose answer is a completion) it would be told in the next one, and others move in between.
  if (!explored->in_section()) posting.take(schedule::part(1, rid), schedule::Touch::How::kWrite);
  while (Posted* const next = next_posted(rid)) {
    touch_posted(rid, schedule::Touch::How::kWrite);
    land(*next, rid);
    // First in the queue until it has landed; the others stay there. Whoever drains is told in a
    // move of its own, in which somebody else may push them.
    const schedule::Unwatched unwatched;
    std::deque<std::unique_ptr<Posted>>& queue = posted[rid];
    TEEIO_CHECK(!queue.empty() && queue.front().get() == next, "a posted write lands twice");
    const std::unique_ptr<Posted> landed = std::move(queue.front());
    queue.pop_front();
  }
}

void HostBridge::Impl::land(const Posted& write, std::uint16_t rid) {
  memory.touch_tables(PhysicalMemory::Tables::kShared, schedule::Touch::How::kRead);
  const Run run{.address = write.to, .size = write.bytes.size(), .key = write.key};
  if (const auto landed = carry_out(run, TBit::kShared, ByteView(write.bytes)))
    tell(write.from, rid, TBit::kShared, write.address, run, 0);
  else
    tell_lost(write, landed.error());
}

void HostBridge::Impl::tell_lost(const Posted& write, const Error& error) {
  auto lost = trace.call(
      object::Lane::kDevice, object::Lane::kDevice, "posted write",
      {.detail = fmt::format("iova={:#x} bytes={}", raw(write.address), write.bytes.size()),
       .function = write.from.function->bdf()});
  lost.refuse(error);
}

std::uint64_t HostBridge::Impl::bytes_of_one_key(const Run& run) const {
  const bool mmio = memory.is_mmio(run.address);
  const KeyId key = memory.key_of(run.address);
  std::uint64_t size = kPageSize - raw(run.address) % kPageSize;
  while (size < run.size && memory.key_of(run.address + size) == key &&
         memory.is_mmio(run.address + size) == mmio)
    size += kPageSize;
  return std::min(size, run.size);
}

template <class Span>
Result<void> HostBridge::Impl::request(Requester from, TBit t, Iova address, Span data) {
  const std::uint16_t rid = from.rid;
  const auto found = functions.find(rid);
  if (found == functions.end()) return fail(Errno::kFault, "no function has this requester id");
  const Function& function = found->second;
  std::uint64_t streams = 0;
  if (t == TBit::kTrusted) {
    if (function.root_port == nullptr)
      return fail(Errno::kIo, "trusted requests need a root port with IDE");
    TEEIO_ASSIGN(streams, function.root_port->admit_trusted(rid));
  }
  if (raw(address) + data.size() < raw(address)) return fail(Errno::kFault, "request wraps");
  const RequestsInFlight::Request passing(function.iommu->in_flight(t));
  while (!data.empty()) {
    TEEIO_ASSIGN(Run run, next_run(function, from, t, address, data.size(), access_of(data)));
    // A posted write's pages are judged one and all before it is on its way.
    if (schedule::controller() != nullptr) run.size = bytes_of_one_key(run);
    if (!post(function, t, address, run, data.first(run.size))) {
      TEEIO_TRY(carry_out(run, t, data.first(run.size)));
      tell(function, rid, t, address, run, streams);
    }
    data = data.subspan(run.size);
    address = address + run.size;
  }
  return {};
}

void HostBridge::Impl::tell(const Function& from, std::uint16_t rid, TBit t, Iova address,
                            const Run& run, std::uint64_t streams) {
  using object::DmaKind;
  const KeyId found = memory.key_of(run.address);
  DmaKind kind = found == KeyId::kShared ? DmaKind::kSharedToShared : DmaKind::kSharedToPrivate;
  if (t == TBit::kTrusted) {
    kind = found != KeyId::kShared
               ? found == run.key ? DmaKind::kTrustedToOwn : DmaKind::kTrustedToOther
           : run.shared_half ? DmaKind::kTrustedToSharedHalf
                             : DmaKind::kTrustedToShared;
  }
  const Told now{.kind = kind, .generation = from.iommu->generation(t) + streams};
  {
    const schedule::RawLockGuard guard(telling);
    const auto [at, fresh] = told.try_emplace(rid, now);
    if (!fresh && at->second == now) return;
    at->second = now;
  }
  trace.fact(object::Lane::kDevice, object::Fact::kDma, "DMA",
             {.detail = fmt::format("iova={:#x} t={} bytes={}", raw(address), std::to_underlying(t),
                                    run.size),
              .function = from.function->bdf(),
              .a = std::to_underlying(kind),
              .b = raw(address),
              .c = std::to_underlying(found)});
}

Result<void> HostBridge::Impl::signal(std::uint16_t rid, Iova address, ByteView in) {
  if (in.size() != sizeof(std::uint32_t) || raw(address) % sizeof(std::uint32_t) != 0)
    return fail(Errno::kFault, "an interrupt message has 4 bytes");
  push(rid);
  interrupts.message_signalled(rid, raw(address), Reader(in).le<std::uint32_t>());
  return {};
}

HostBridge::HostBridge(PhysicalMemory& memory, object::Trace& trace, InterruptSink& interrupts,
                       std::uint16_t domain)
    : impl_(std::make_unique<Impl>(memory, trace, interrupts, domain)) {}
HostBridge::~HostBridge() = default;

void HostBridge::add_root_port(RootPort& port, Iommu& iommu) {
  impl_->add(port, nullptr, iommu);
  impl_->root_ports.push_back(&port);
  port.attach(*this);
}

void HostBridge::add_function(PciFunction& function, Iommu& iommu) {
  RootPort* above = impl_->port_above(function.bdf().bus);
  TEEIO_CHECK(above != nullptr || function.bdf().bus == 0, "a function's bus has no root port");
  impl_->add(function, above, iommu);
  function.attach(*this);
}

std::uint16_t HostBridge::domain() const { return impl_->domain; }

PciFunction* HostBridge::find(Bdf bdf) const {
  if (bdf.domain != impl_->domain) return nullptr;
  const auto at = impl_->functions.find(bdf.rid());
  return at == impl_->functions.end() ? nullptr : at->second.function;
}

std::vector<PciFunction*> HostBridge::functions() const {
  std::vector<PciFunction*> all;
  all.reserve(impl_->functions.size());
  for (const auto& [rid, entry] : impl_->functions) all.push_back(entry.function);
  return all;
}

RootPort* HostBridge::root_port_of(Bdf bdf) const {
  const auto at = impl_->functions.find(bdf.rid());
  return at == impl_->functions.end() ? nullptr : at->second.root_port;
}

Result<void> HostBridge::dma_read(Requester from, TBit t, Iova address, std::span<std::byte> out) {
  if (out.empty()) return impl_->push(from.rid), Result<void>{};
  return impl_->request(from, t, address, out);
}

bool HostBridge::intx(std::uint16_t rid, bool asserted) {
  impl_->push(rid);  // a message, and posted as the writes are
  return impl_->interrupts.intx(rid, asserted);
}

Result<void> HostBridge::dma_write(Requester from, TBit t, Iova address, ByteView in) {
  if (!from.pasid && address >= kInterruptRangeStart && address <= kInterruptRangeLast)
    return impl_->signal(from.rid, address, in);
  return impl_->request(from, t, address, in);
}

}  // namespace teeio::hw
