#include "hw/smmu/smmu.h"

#include <fmt/format.h>

#include "hw/smmu/stage2.h"

namespace teeio::hw {
namespace {

using smmu::Event;

std::string_view event_text(Event event) {
  switch (event) {
    case Event::kNone:
      return "the realm half of the SMMU is off";
    case Event::kBadStreamId:
      return "C_BAD_STREAMID: the stream table has no such entry";
    case Event::kSteFetch:
      return "F_STE_FETCH: the stream table entry cannot be read";
    case Event::kBadSubstreamId:
      return "the stream has no substreams";
    case Event::kBadSte:
      return "C_BAD_STE: the stream table entry is not valid";
    case Event::kTranslation:
      return "F_TRANSLATION: the realm maps nothing there";
    case Event::kAddressSize:
      return "F_ADDR_SIZE: the address is outside of what the table covers";
    case Event::kAccess:
      return "F_ACCESS: the access flag is clear";
    case Event::kPermission:
      return "F_PERMISSION: the realm's table does not permit the access";
  }
  return "?";
}

/// Indices of a queue run over twice its entries: the upper half is the wrap bit.
std::uint32_t after(std::uint32_t index, unsigned log2) { return (index + 1) & ((2U << log2) - 1); }
std::uint32_t slot(std::uint32_t index, unsigned log2) { return index & ((1U << log2) - 1); }

}  // namespace

std::uint64_t Smmu::generation() const {
  turn_.take(0, schedule::Touch::How::kRead);
  return generation_.load();
}

void Smmu::enable(const Setup& setup) {
  turn_.take(0, schedule::Touch::How::kWrite);
  const schedule::RawLockGuard guard(lock_);
  next_generation();
  setup_ = setup;
  commands_ = events_ = taken_ = 0;
  entries_.clear();
  leaves_.clear();
  last_fault_.reset();
}

void Smmu::disable() {
  turn_.take(0, schedule::Touch::How::kWrite);
  const schedule::RawLockGuard guard(lock_);
  next_generation();
  setup_.reset();
  entries_.clear();
  leaves_.clear();
}

bool Smmu::enabled() const {
  const schedule::RawLockGuard guard(lock_);
  return setup_.has_value();
}

std::uint32_t Smmu::commands_consumed() const {
  const schedule::RawLockGuard guard(lock_);
  return commands_;
}

std::uint32_t Smmu::events_produced() const {
  const schedule::RawLockGuard guard(lock_);
  return events_;
}

void Smmu::consume_events(std::uint32_t cons) {
  const schedule::RawLockGuard guard(lock_);
  taken_ = cons;
}

/// In which order caches forget is not to be seen.
bool Smmu::ring(std::uint32_t prod) {
  turn_.take(0, schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(lock_);
  next_generation();
  if (!setup_ || prod >= 2U << setup_->commands_log2) return false;
  while (commands_ != prod) {
    smmu::Command command{};
    const Hpa at = setup_->commands + slot(commands_, setup_->commands_log2) * smmu::kCommandBytes;
    if (!memory_.read(at, writable_bytes_of(command), key_) || !obey(command)) return false;
    commands_ = after(commands_, setup_->commands_log2);
  }
  return true;
}

bool Smmu::obey(const smmu::Command& command) {
  const auto vmid = static_cast<std::uint16_t>(command[0] >> 32U);
  switch (static_cast<smmu::Opcode>(command[0] & 0xffU)) {
    case smmu::Opcode::kCfgiSte:
      entries_.erase(static_cast<std::uint32_t>(command[0] >> 32U));
      return true;
    case smmu::Opcode::kCfgiAll:
      entries_.clear();
      return true;
    case smmu::Opcode::kTlbiVmid:
      leaves_.erase(leaves_.lower_bound({vmid, 0}), leaves_.upper_bound({vmid, ~std::uint64_t{0}}));
      return true;
    case smmu::Opcode::kTlbiIpa:
      leaves_.erase({vmid, command[1] & smmu::kAddressBits});
      return true;
    case smmu::Opcode::kSync:
      return true;
  }
  return false;
}

std::expected<Smmu::Entry, Event> Smmu::entry_of(std::uint32_t sid) {
  if (const auto cached = entries_.find(sid); cached != entries_.end()) return cached->second;
  if (sid >> setup_->sid_bits != 0) return std::unexpected(Event::kBadStreamId);
  const auto level1 =
      memory_.read_u64(setup_->stream_table + (sid >> smmu::kSplit) * sizeof(std::uint64_t), key_);
  if (!level1) return std::unexpected(Event::kSteFetch);
  // SPAN 0: there is no table.
  if ((*level1 & 0x1fU) == 0) return std::unexpected(Event::kBadStreamId);
  std::array<std::uint64_t, 4> words{};
  const Hpa at = Hpa{*level1 & smmu::kAddressBits} + sid % smmu::kTableEntries * smmu::kSteBytes;
  if (!memory_.read(at, writable_bytes_of(words), key_)) return std::unexpected(Event::kSteFetch);
  const Entry entry = Entry::decode(words);
  if (!entry.valid || !Entry::is_stage2(words)) return std::unexpected(Event::kBadSte);
  entries_.emplace(sid, entry);
  return entry;
}

std::expected<Smmu::Leaf, Event> Smmu::leaf_of(const Entry& entry, Iova page) {
  const std::pair key(entry.vmid, raw(page));
  if (const auto cached = leaves_.find(key); cached != leaves_.end()) return cached->second;
  const auto found = smmu::walk_stage2(memory_, key_, entry.table, entry.ia_bits, page);
  if (!found) return std::unexpected(found.error());
  const Leaf leaf{.page = found->address + (raw(page) & (found->bytes - 1)),
                  .read = found->read,
                  .write = found->write,
                  .key = found->shared ? KeyId::kShared : key_};
  leaves_.emplace(key, leaf);
  return leaf;
}

std::expected<Iommu::Translation, IommuFault> Smmu::translate(Requester from, Iova address,
                                                              DmaAccess access) {
  turn_.take(0, schedule::Touch::How::kRead);
  memory_.touch_tables(PhysicalMemory::Tables::kTrusted, schedule::Touch::How::kRead);
  const std::uint16_t rid = from.rid;
  const schedule::RawLockGuard guard(lock_);
  if (!setup_) return refuse(rid, address, access, Event::kNone);
  // No stream table entry here has a first stage, which a substream chooses from.
  if (from.pasid) return refuse(rid, address, access, Event::kBadSubstreamId);
  const auto entry = entry_of(rid);
  if (!entry) return refuse(rid, address, access, entry.error());
  const std::uint64_t offset = raw(address) % kPageSize;
  const auto leaf = leaf_of(*entry, Iova{raw(address) - offset});
  if (!leaf) return refuse(rid, address, access, leaf.error());
  if (access == DmaAccess::kWrite ? !leaf->write : !leaf->read)
    return refuse(rid, address, access, Event::kPermission);
  return Iommu::Translation{.address = leaf->page + offset,
                            .contiguous_bytes = kPageSize - offset,
                            .domain = entry->vmid,
                            .writable = leaf->write,
                            .key = leaf->key};
}

std::unexpected<IommuFault> Smmu::refuse(std::uint16_t rid, Iova address, DmaAccess access,
                                         Event event) {
  const IommuFault fault{.rid = rid,
                         .address = address,
                         .access = access,
                         .t = TBit::kTrusted,
                         .reason = static_cast<std::uint16_t>(event),
                         .text = event_text(event)};
  if (event != Event::kNone) write_event(rid, address, access, event);
  // A device that goes on hitting the same wall is reported once.
  const bool repeated = last_fault_ && last_fault_->rid == rid &&
                        last_fault_->reason == fault.reason && last_fault_->address == address;
  last_fault_ = fault;
  if (repeated) return std::unexpected(fault);
  auto call = trace_.call(object::Lane::kDevice, object::Lane::kDevice, "DMA",
                          {.detail = fmt::format("smmu={} ipa={:#x} t=1 {}", id_, raw(address),
                                                 access == DmaAccess::kRead ? "read" : "write"),
                           .function = Bdf::from_rid(rid)});
  call.refuse("SMMU event", fault.text);
  return std::unexpected(fault);
}

/// A full queue loses the event, as the hardware's does. Of a translation's events (7.3.12 to
/// 7.3.15) it also says that it was stage 2 (S2), for what was asked (CLASS: IN), and where.
void Smmu::write_event(std::uint32_t sid, Iova address, DmaAccess access, Event event) {
  const unsigned log2 = setup_->events_log2;
  const bool full = slot(events_, log2) == slot(taken_, log2) && events_ != taken_;
  if (full) return;
  constexpr std::uint64_t kRead = 1ULL << 35U, kStage2 = 1ULL << 39U, kInput = 2ULL << 40U;
  std::array<std::uint64_t, 4> words = {static_cast<std::uint64_t>(event) | std::uint64_t{sid}
                                                                                << 32U};
  if (event >= Event::kTranslation) {
    words[1] = kStage2 | kInput | (access == DmaAccess::kRead ? kRead : 0);
    words[2] = raw(address);
    words[3] = raw(address) & smmu::kAddressBits;
  }
  if (memory_.write(setup_->events + slot(events_, log2) * smmu::kEventBytes, bytes_of(words),
                    key_))
    events_ = after(events_, log2);
}

}  // namespace teeio::hw
