#include <fmt/format.h>

#include <algorithm>

#include "firmware/rmm/command.h"

// Device memory of a realm: TF-RMM runtime/rmi/rtt_map.c, rtt_unmap.c and rtt.c.

namespace teeio::rmm {
namespace {

using object::Fact;

constexpr std::uint64_t kEntries = 512;
constexpr std::uint64_t kListEntries = kPageSize / sizeof(std::uint64_t);

object::EventFields place(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

bool is_protected(Gpa base, Gpa top) {
  return raw(base) < Rtt::kProtected && raw(top) - 1 < Rtt::kProtected;
}

/// Bytes from `ipa` to the end of the table whose entries are of `level`.
std::uint64_t to_table_end(Gpa ipa, std::uint8_t level) {
  const std::uint64_t span = level_bytes(level) * kEntries;
  return span - raw(ipa) % span;
}

bool inside(const std::vector<PaRange>& ranges, Hpa block, std::uint64_t bytes) {
  return std::ranges::any_of(ranges, [&](const PaRange& range) {
    return block >= range.base && block < range.top && raw(range.top) - raw(block) >= bytes;
  });
}

/// Blocks of a list of descriptors, one after the other.
class Blocks {
 public:
  explicit Blocks(std::vector<AddressDescriptor> list) : list_(std::move(list)) { skip_empty(); }
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
  std::vector<AddressDescriptor> list_;
  std::size_t next_ = 0;
  std::uint64_t used_ = 0;
};

}  // namespace

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
      std::min(flags.count, kListEntries - offset_in_page(list) / sizeof(std::uint64_t));
  std::vector<AddressDescriptor> found;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto word = memory_.read_u64(list + i * sizeof(std::uint64_t));
    if (!word) return (void)c.refuse("list"), std::nullopt;
    found.push_back(AddressDescriptor::decode(*word));
  }
  return found;
}

/// dev_map_one_entry() and dev_map_drain_pending(); empty: mapped.
std::string_view Rmm::map_block(Realm& realm, const Vdev& vdev, Gpa ipa, Hpa block,
                                std::uint8_t level) {
  const std::uint64_t bytes = level_bytes(level);
  if (raw(block) % bytes != 0) return "pa";
  if (!inside(vdev.params.ranges, block, bytes)) return "outside";
  Rtt::Entry entry = realm.rtt.entry(ipa, level);
  const bool table =
      level < kPageLevel && realm.rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
  if (table || entry.address || (entry.ripas != Ripas::kEmpty && entry.ripas != Ripas::kDestroyed))
    return "entry";
  for (std::uint64_t at = 0; at < bytes; at += kPageSize)
    if (!memory_.is_mmio(block + at) || state_of(block + at) != GranuleState::kDelegated)
      return "granule";
  for (std::uint64_t at = 0; at < bytes; at += kPageSize) {
    set(block + at, GranuleState::kMapped);
    trace_.fact(object::Lane::kFirmware, Fact::kMmioMapped, "MMIO mapped",
                {.function = vdev.tdi, .vm = realm.vm, .a = raw(ipa + at), .b = raw(block + at)});
  }
  entry.address = block;
  entry.tdi = vdev.tdi;
  realm.rtt.set(ipa, level, entry);
  return {};
}

RmiResult Rmm::rtt_dev_map(Hpa rd, Hpa vdev_at, Gpa base, Gpa top, AddressFlags flags,
                           std::uint64_t addresses) {
  Command c(*this, row::kRttDevMap, place(base));
  if (!c.begin()) return c.result();
  RMM_FIND(operation, reserve(c));
  *operation = {};  // it never yields, so that the context is free again
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->state == RealmState::kZombie, "realm");
  RMM_REFUSE_IF(top <= base, "range");
  auto list = descriptors(c, flags, addresses);
  if (!list) return c.result();
  RMM_REFUSE_IF(list->front().count == 0 || list->front().undelegated || list->front().level == 0,
                "descriptor");
  const std::uint8_t level = list->front().level;
  const std::uint64_t bytes = level_bytes(level);
  RMM_REFUSE_IF(raw(base) % bytes != 0 || !is_page_aligned(raw(top)) || !is_protected(base, top),
                "protected");
  if (raw(top) - raw(base) < bytes) return c.refuse("short", 0, level);
  RMM_FIND(vdev, c.vdev(vdev_at));
  RMM_REFUSE_IF(vdev->rd != rd, "foreign");
  const Rtt::Walk walk = realm->rtt.walk(base, level);
  if (walk.level != level) return c.refuse("walk", 0, walk.level);
  Blocks blocks(std::move(*list));
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  while (!blocks.empty() && blocks.descriptor().level == level &&
         !blocks.descriptor().undelegated && done + bytes <= end) {
    const std::string_view stop = map_block(*realm, *vdev, base + done, blocks.pop(), level);
    if (!stop.empty() && done == 0) return c.refuse(stop, 0, level);
    if (!stop.empty()) break;
    done += bytes;
  }
  return {.x1 = raw(base) + done};
}

/// Takes what an entry maps out of it; the page that a realm had validated is DESTROYED.
void Rmm::unmap_entry(Realm& realm, Gpa ipa, std::uint8_t level) {
  const Rtt::Entry entry = realm.rtt.entry(ipa, level);
  realm.rtt.set(ipa, level,
                {.ripas = entry.ripas == Ripas::kEmpty ? Ripas::kEmpty : Ripas::kDestroyed});
  for (std::uint64_t at = 0; at < level_bytes(level); at += kPageSize) {
    const Hpa granule = *entry.address + at;
    set(granule, GranuleState::kDelegated);
    trace_.fact(object::Lane::kFirmware, Fact::kMmioUnmapped, "MMIO unmapped",
                {.function = entry.tdi, .vm = realm.vm, .a = raw(ipa + at), .b = raw(granule)});
  }
}

/// validate_unmap_inputs(); empty: nothing is wrong.
std::string_view Rmm::unmap_fault(Gpa base, Gpa top, AddressFlags flags,
                                  std::uint64_t addresses) const {
  if (!is_page_aligned(raw(base) | raw(top)) || top <= base) return "range";
  if (!is_protected(base, top)) return "protected";
  if (flags.type == AddressFlags::kNone || flags.type == AddressFlags::kSingle)
    return addresses != 0 || flags.count != 0 ? "sbz" : "";
  if (flags.type != AddressFlags::kList) return "type";
  if (flags.count == 0) return "list_count";
  const Hpa list{addresses};
  return raw(list) % sizeof(std::uint64_t) != 0 || !is_hosts(list) ? "list" : "";
}

RmiResult Rmm::rtt_dev_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                             std::uint64_t addresses) {
  Command c(*this, row::kRttDevUnmap, place(base));
  if (!c.begin()) return c.result();
  RMM_FIND(operation, reserve(c));
  *operation = {};
  RMM_FIND(realm, c.realm(rd));
  if (const auto wrong = unmap_fault(base, top, flags, addresses); !wrong.empty())
    return c.refuse(wrong);
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t most =
      flags.type == AddressFlags::kList
          ? std::min(flags.count, kListEntries - addresses % kPageSize / sizeof(std::uint64_t))
          : kEntries;
  std::vector<AddressDescriptor> freed;
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  for (; done < end; done += bytes) {
    const Gpa ipa = base + done;
    const bool table =
        level < kPageLevel && realm->rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
    if (table || done + bytes > end) {
      if (done == 0) return c.refuse("entry", 0, level);
      break;
    }
    const auto address = realm->rtt.entry(ipa, level).address;
    if (!address) continue;
    const bool joins = !freed.empty() && freed.back().count < 1023 &&
                       *address == freed.back().base + freed.back().count * bytes;
    if (flags.type == AddressFlags::kSingle && !freed.empty() && !joins) break;
    if (!joins && freed.size() == most) break;
    if (joins)
      ++freed.back().count;
    else
      freed.push_back({.base = *address, .count = 1, .level = level});
    unmap_entry(*realm, ipa, level);
  }
  RmiResult result{.x1 = raw(base) + done};
  if (flags.type == AddressFlags::kSingle && !freed.empty()) result.x2 = freed.front().encode();
  for (std::size_t i = 0; flags.type == AddressFlags::kList && i < freed.size(); ++i)
    if (memory_.write_u64(Hpa{addresses} + i * sizeof(std::uint64_t), freed[i].encode()))
      ++result.x3;
  return result;
}

RmiResult Rmm::rtt_dev_validate(Hpa rd, Hpa rec_at, Gpa base, Gpa top) {
  Command c(*this, row::kRttDevValidate, place(base));
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(top <= base || !is_page_aligned(raw(top)), "range");
  RMM_FIND(realm, c.realm(rd, "rd_rec"));
  RMM_FIND(rec, c.rec(rec_at, "rd_rec"));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(rec->rd != rd, "foreign");
  RMM_REFUSE_IF(rec->dev_mem.addr != base || top > rec->dev_mem.top, "request");
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  for (; done + bytes <= end; done += bytes) {
    Rtt::Entry entry = realm->rtt.entry(base + done, level);
    if (entry.address != rec->dev_mem.pa + done || entry.ripas != Ripas::kEmpty) break;
    entry.ripas = Ripas::kDev;
    realm->rtt.set(base + done, level, entry);
  }
  if (done == 0) return c.refuse("entry", 0, level);
  rec->dev_mem.addr = base + done;
  rec->dev_mem.pa = rec->dev_mem.pa + done;
  return {.x1 = raw(base) + done};
}

}  // namespace teeio::rmm
