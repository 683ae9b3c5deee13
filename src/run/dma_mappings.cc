#include "run/dma_mappings.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/types.h"

namespace teeio::run {
namespace {

/// Read by a handler of a signal, hence no lock and no atomic of schedule/.
struct Slot {
  std::atomic<bool> taken;
  std::atomic<std::uint64_t> turn;    ///< how many mappings have had it
  std::atomic<std::uintptr_t> start;  ///< 0: none yet, or none any more. Written last.
  std::atomic<std::size_t> length;    ///< in whole pages of the file's
  std::atomic<std::size_t> page;      ///< the file's: those of hugetlbfs are larger
  std::atomic<std::size_t> live;      ///< what lies behind is replaced
  std::atomic<std::size_t> alone;     ///< pages that are replaced and have the file's behind them
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);

std::array<Slot, DmaMapping::kMost> slots;
std::atomic<std::size_t> used = 0;   ///< none is taken from here on
std::atomic<std::size_t> hint = 0;   ///< where to look for one that is free
std::atomic<std::size_t> alone = 0;  ///< of all slots; never above DmaMapping::kMostAlone

std::atomic<bool> took_more = false;

void lower(std::atomic<std::size_t>& value, std::size_t to) {
  std::size_t now = value.load();
  while (now > to && !value.compare_exchange_weak(now, to)) {
  }
}
void raise(std::atomic<std::size_t>& value, std::size_t to) {
  std::size_t now = value.load();
  while (now < to && !value.compare_exchange_weak(now, to)) {
  }
}

std::optional<std::size_t> take_slot() {
  const std::size_t begin = hint.load();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::size_t at = (begin + i) % slots.size();
    bool taken = false;
    if (!slots[at].taken.compare_exchange_strong(taken, true)) continue;
    raise(used, at + 1);
    hint.store(at + 1);
    return at;
  }
  return std::nullopt;
}

void give_slot(std::size_t at) {
  slots.at(at).taken.store(false);
  lower(hint, at);
}

std::size_t page_size(const Fd& file) {
  struct statfs info{};
  const bool huge = ::fstatfs(file.get(), &info) == 0 && info.f_type == HUGETLBFS_MAGIC;
  return huge ? static_cast<std::size_t>(info.f_bsize) : kPageSize;
}

struct Found {
  Slot& slot;
  std::uintptr_t start;
  std::size_t length;
  std::size_t page;
};

/// The faulting mapping's slot stays as it is, for it is in use. Another one may be given away
/// while it is read, even to a mapping of another length at the same address: then it has had
/// another turn.
std::optional<Found> find(std::uintptr_t at) {
  for (std::size_t i = 0; i < used.load(); ++i) {
    Slot& slot = slots[i];
    const std::uint64_t turn = slot.turn.load();
    const Found found{slot, slot.start.load(), slot.length.load(), slot.page.load()};
    if (found.start == 0 || at < found.start || at - found.start >= found.length) continue;
    if (slot.turn.load() == turn) return found;
  }
  return std::nullopt;
}

bool may_be_alone(Slot& slot) {
  std::size_t now = alone.load();
  do {
    if (now == DmaMapping::kMostAlone) return false;
  } while (!alone.compare_exchange_weak(now, now + 1));
  ++slot.alone;
  return true;
}

bool put_memory(std::uintptr_t from, std::size_t length) {
  void* const at = reinterpret_cast<void*>(from);
  return ::mmap(at, length, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at;
}

/// Whether the file has a page there. A kernel before 5.14 cannot say: no.
bool has_page(std::uintptr_t at, std::size_t size) {
#ifndef MADV_POPULATE_READ
  constexpr int MADV_POPULATE_READ = 22;
#endif
  return ::madvise(reinterpret_cast<void*>(at), size, MADV_POPULATE_READ) == 0;
}

}  // namespace

std::optional<DmaMapping> DmaMapping::map(const Fd& file, std::size_t length, int prot,
                                          long offset) {
  const auto number = take_slot();
  if (!number) {
    errno = ENOMEM;
    return std::nullopt;
  }
  Slot& slot = slots.at(*number);
  void* const address = ::mmap(nullptr, length, prot, MAP_SHARED, file.get(), offset);
  if (address == MAP_FAILED) {
    give_slot(*number);
    return std::nullopt;
  }
  // Linux does so too: ksys_mmap_pgoff(), of mm/mmap.c.
  const std::size_t page = page_size(file), whole = (length + page - 1) / page * page;
  ++slot.turn;
  slot.length.store(whole);
  slot.page.store(page);
  slot.live.store(whole);
  slot.start.store(reinterpret_cast<std::uintptr_t>(address));
  return DmaMapping(static_cast<std::byte*>(address), *number);
}

DmaMapping::DmaMapping(DmaMapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), slot_(other.slot_) {}

DmaMapping::~DmaMapping() {
  if (address_ == nullptr) return;
  Slot& slot = slots.at(slot_);
  slot.start.store(0);  // before another mapping can have the addresses
  ::munmap(address_, slot.length.load());
  alone -= slot.alone.exchange(0);
  give_slot(slot_);
}

bool DmaMapping::is_whole() const {
  const Slot& slot = slots.at(slot_);
  return slot.live.load() == slot.length.load() && slot.alone.load() == 0;
}

bool replace_cut(const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const auto found = find(address);
  if (!found) return false;
  const auto [slot, start, length, page] = *found;
  const std::size_t offset = (address - start) / page * page;
  const std::size_t live = slot.live.load();
  const bool goes_on = offset + page < live && has_page(start + live - page, page);
  if (goes_on && may_be_alone(slot) && put_memory(start + offset, page)) return true;
  if (goes_on) took_more.store(true);
  if (!put_memory(start + offset, length - offset) && !put_memory(start, length)) return false;
  lower(slot.live, offset);
  return true;
}

bool took_more_than_a_hole() { return took_more.exchange(false); }

}  // namespace teeio::run
