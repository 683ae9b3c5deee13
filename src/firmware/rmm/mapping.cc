#include "firmware/rmm/mapping.h"

#include <algorithm>
#include <expected>

#include "firmware/rmm/command.h"

// What commands that map and unmap ranges have in common, RAM's and device memory's: TF-RMM
// runtime/rmi/rtt_map.c and rtt_unmap.c.

namespace teeio::rmm {
namespace {

/// Blocks of a list of descriptors, one after the other.
class Blocks {
 public:
  explicit Blocks(const std::vector<AddressDescriptor>& list) : list_(list) { skip_empty(); }
  [[nodiscard]] bool empty() const { return next_ == list_.size(); }
  [[nodiscard]] const AddressDescriptor& descriptor() const { return list_[next_]; }
  Hpa pop() {
    const AddressDescriptor& d = list_[next_];
    const Hpa block = d.base + used_ * level_bytes(d.level);
    ++used_;
    skip_empty();
    return block;
  }

 private:
  void skip_empty() {
    while (next_ < list_.size() && used_ >= list_[next_].count) ++next_, used_ = 0;
  }
  const std::vector<AddressDescriptor>& list_;
  std::size_t next_ = 0;
  std::uint64_t used_ = 0;
};

/// map_pop_next_block(): the next block, or the check that it fails.
std::expected<Hpa, std::string_view> next_block(Blocks& blocks, std::uint8_t level,
                                                bool delegated) {
  constexpr std::uint64_t kMostAddress = 1ULL << 48U;  // S2TT_MAX_PA_BITS
  if (blocks.empty() || (delegated && blocks.descriptor().undelegated))
    return std::unexpected("blocks");
  if (blocks.descriptor().level != level) return std::unexpected("size");
  const Hpa block = blocks.pop();
  const std::uint64_t bytes = level_bytes(level);
  if (raw(block) % bytes != 0 || raw(block) + bytes > kMostAddress) return std::unexpected("pa");
  return block;
}

}  // namespace

bool add_block(std::vector<AddressDescriptor>& list, const AddressDescriptor& block,
               std::size_t most) {
  const std::uint64_t bytes = level_bytes(block.level);
  for (AddressDescriptor& run : list) {
    if (run.level != block.level || run.undelegated != block.undelegated) continue;
    if (run.count >= AddressDescriptor::kMostBlocks) continue;
    const bool before = block.base + bytes == run.base;
    if (!before && block.base != run.base + run.count * bytes) continue;
    if (before) run.base = block.base;
    ++run.count;
    return true;
  }
  if (list.size() == most) return false;
  list.push_back(block);
  return true;
}

/// The descriptors that `flags` and `addresses` name; nullopt: refused.
std::optional<std::vector<AddressDescriptor>> Rmm::descriptors(Command& c, AddressFlags flags,
                                                               std::uint64_t addresses) {
  if (flags.type == AddressFlags::kSingle) return std::vector{AddressDescriptor::decode(addresses)};
  if (flags.type != AddressFlags::kList) return (void)c.refuse("type"), std::nullopt;
  if (flags.count == 0) return (void)c.refuse("list_count"), std::nullopt;
  const Hpa list{addresses};
  if (raw(list) % sizeof(std::uint64_t) != 0 || !is_hosts(list))
    return (void)c.refuse("list"), std::nullopt;
  const std::uint64_t count =
      std::min(flags.count, kListSlots - offset_in_page(list) / sizeof(std::uint64_t));
  std::vector<AddressDescriptor> found;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto word = memory_.read_u64(list + i * sizeof(std::uint64_t));
    if (!word) return (void)c.refuse("list"), std::nullopt;
    found.push_back(AddressDescriptor::decode(*word));
  }
  return found;
}

Rmm::Memory Rmm::memory_of(const Rtt::Entry& entry) {
  if (entry.shared) return Memory::kShared;
  return entry.data ? Memory::kData : Memory::kDevice;
}

/// validate_map_inputs_common(), and what all commands that map begin with; nullopt:
/// refused. They never yield, so that the context of the operation is free again; mapping
/// shared memory takes none.
std::optional<Rmm::MapRange> Rmm::map_range(Command& c, Hpa rd, Gpa base, Gpa top,
                                            AddressFlags flags, std::uint64_t addresses,
                                            Memory memory) {
  if (memory != Memory::kShared) {
    Operation* const operation = reserve(c, raw(rd));
    if (operation == nullptr) return std::nullopt;
    release(*operation);
  }
  MapRange range{.realm = c.realm(rd), .base = base, .top = top, .memory = memory};
  const auto refuse = [&](std::string_view id, std::uint8_t level = 0) {
    (void)c.refuse(id, 0, level);
    return std::nullopt;
  };
  if (range.realm == nullptr) return std::nullopt;
  if (range.realm->state != RealmState::kNew && range.realm->state != RealmState::kActive)
    return refuse("realm");
  if (top <= base) return refuse("range");
  auto list = descriptors(c, flags, addresses);
  if (!list) return std::nullopt;
  // One without blocks says which level is meant, all the same.
  const AddressDescriptor first = list->front();
  if (memory != Memory::kShared && first.undelegated) return refuse("descriptor");
  range.level = first.level;
  const std::uint64_t bytes = level_bytes(range.level);
  if (range.level == 0 || raw(base) % bytes != 0 || !is_page_aligned(raw(top)) ||
      raw(base) >= Rtt::kAddresses || raw(top) > Rtt::kAddresses ||
      in_protected(base, top) == (memory == Memory::kShared))
    return refuse("place");
  if (raw(top) - raw(base) < bytes) return refuse("short", range.level);
  range.list = std::move(*list);
  return range;
}

/// Block by block within one table, until one does not fit: no error after the first.
RmiResult Rmm::map_blocks(Command& c, const MapRange& range,
                          const std::function<std::string_view(Gpa, Hpa)>& map_one) {
  const Rtt::Walk walk = range.realm->rtt.walk(range.base, range.level);
  if (walk.level != range.level) return c.refuse("walk", 0, walk.level);
  const std::uint64_t bytes = level_bytes(range.level);
  Blocks blocks(range.list);
  const std::uint64_t end =
      std::min(raw(range.top) - raw(range.base), to_table_end(range.base, range.level));
  std::uint64_t done = 0;
  while (done + bytes <= end) {
    const auto block = next_block(blocks, range.level, range.memory != Memory::kShared);
    const std::string_view stop = block ? map_one(range.base + done, *block) : block.error();
    if (!stop.empty() && done == 0) return c.refuse(stop, 0, range.level);
    if (!stop.empty()) break;
    done += bytes;
  }
  return {.x1 = raw(range.base) + done};
}

/// validate_unmap_inputs(); empty: nothing is wrong.
std::string_view Rmm::unmap_fault(Gpa base, Gpa top, const UnmapInto& into) const {
  const auto& [flags, addresses, memory] = into;
  if (!is_page_aligned(raw(base) | raw(top)) || top <= base) return "range";
  if (memory == Memory::kShared ? !in_unprotected(base, top) : !in_protected(base, top))
    return "place";
  if (flags.type == AddressFlags::kNone || flags.type == AddressFlags::kSingle)
    return addresses != 0 || flags.count != 0 ? "sbz" : "";
  if (flags.type != AddressFlags::kList) return "type";
  if (flags.count == 0) return "list_count";
  const Hpa list{addresses};
  return raw(list) % sizeof(std::uint64_t) != 0 || !is_hosts(list) ? "list" : "";
}

RmiResult Rmm::unmap_range(Command& c, Hpa rd, Gpa base, Gpa top, const UnmapInto& into) {
  const auto& [flags, addresses, memory] = into;
  if (!c.begin()) return c.result();
  RMM_FIND(operation, reserve(c, raw(rd)));
  release(*operation);
  RMM_FIND(realm, c.realm(rd));
  if (const auto wrong = unmap_fault(base, top, into); !wrong.empty()) return c.refuse(wrong);
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t most =
      flags.type == AddressFlags::kList
          ? std::min(flags.count, kListSlots - addresses % kPageSize / sizeof(std::uint64_t))
          : kTableSlots;
  std::vector<AddressDescriptor> freed;
  Hpa last{0};
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  for (; done < end; done += bytes) {
    const Gpa ipa = base + done;
    const bool table =
        level < kPageLevel && realm->rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
    const Rtt::Entry entry = realm->rtt.entry(ipa, level);
    if (table || done + bytes > end || (entry.address && memory_of(entry) != memory)) {
      if (done == 0) return c.refuse("entry", 0, level);
      break;
    }
    const auto address = entry.address;
    if (!address) continue;
    const bool behind = freed.empty() || *address == last + bytes;
    if (flags.type == AddressFlags::kSingle && !behind) break;
    const AddressDescriptor block{
        .base = *address, .count = 1, .level = level, .undelegated = entry.shared};
    if (!add_block(freed, block, most)) break;
    last = *address;
    unmap_entry(*realm, ipa, level);
  }
  RmiResult result{.x1 = raw(base) + done};
  if (flags.type == AddressFlags::kSingle && !freed.empty()) {
    freed.front().undelegated = false;  // rtt_unmap_format_result() leaves the state out
    result.x2 = freed.front().encode();
  }
  for (std::size_t i = 0; flags.type == AddressFlags::kList && i < freed.size(); ++i)
    if (memory_.write_u64(Hpa{addresses} + i * sizeof(std::uint64_t), freed[i].encode()))
      ++result.x3;
  return result;
}

}  // namespace teeio::rmm
