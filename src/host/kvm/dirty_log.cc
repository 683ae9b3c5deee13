#include <limits>

#include "host/kvm/kvm.h"
#include "host/kvm/mmu.h"
#include "host/kvm/vm.h"

// Dirty page logging. Source: Linux virt/kvm/kvm_main.c, kvm_get_dirty_log_protect() and
// kvm_clear_dirty_log_protect(). What a hypervisor write-protects, the guest engine asks for
// anew after a flush: Mmu::lookup() hears of the first write to each page.

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kWordBits = 64;
constexpr std::uint64_t kManualProtect = 1;  // KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
constexpr std::uint64_t kInitiallySet = 2;   // KVM_DIRTY_LOG_INITIALLY_SET

std::size_t words_for(std::uint64_t pages) {
  return static_cast<std::size_t>((pages + kWordBits - 1) / kWordBits);
}

}  // namespace

void Mmu::start_dirty_log(std::uint32_t slot, Gpa start, std::uint64_t pages, bool all_set) {
  const schedule::Lock lock(mmu_lock_);
  DirtyLog& log = dirty_logs_[slot];
  log.first = raw(start) >> kPageShift;
  if (!log.bits.empty()) return;
  log.pages = pages;
  log.bits.assign(words_for(pages), all_set ? std::numeric_limits<std::uint64_t>::max() : 0);
  if (all_set && pages % kWordBits != 0) log.bits.back() = (1ULL << (pages % kWordBits)) - 1;
}

void Mmu::stop_dirty_log(std::uint32_t slot) {
  const schedule::Lock lock(mmu_lock_);
  dirty_logs_.erase(slot);
}

std::optional<std::vector<std::uint64_t>> Mmu::dirty_log(std::uint32_t slot) {
  const schedule::Lock lock(mmu_lock_);
  const auto at = dirty_logs_.find(slot);
  if (at == dirty_logs_.end()) return std::nullopt;
  return at->second.bits;
}

void Mmu::clear_dirty_log(std::uint32_t slot, std::uint64_t first,
                          std::span<const std::uint64_t> mask) {
  const schedule::Lock lock(mmu_lock_);
  const auto at = dirty_logs_.find(slot);
  if (at == dirty_logs_.end()) return;
  std::vector<std::uint64_t>& bits = at->second.bits;
  for (std::size_t i = 0; i < mask.size() && first / kWordBits + i < bits.size(); ++i)
    bits[first / kWordBits + i] &= ~mask[i];
}

void Mmu::mark_dirty(Gpa page) {
  const std::uint64_t gfn = raw(page) >> kPageShift;
  for (auto& [slot, log] : dirty_logs_) {
    if (gfn < log.first || gfn - log.first >= log.pages) continue;
    const std::uint64_t at = gfn - log.first;
    log.bits[at / kWordBits] |= 1ULL << (at % kWordBits);
  }
}

Result<void> Vm::set_dirty_log_protect(std::uint64_t mode) {
  const std::uint64_t allowed =
      (mode & kManualProtect) != 0 ? kManualProtect | kInitiallySet : kManualProtect;
  if ((mode & ~allowed) != 0) return fail(Errno::kInval, "no such way of dirty logging");
  const schedule::Lock lock(slots_lock_);
  dirty_log_protect_ = mode;
  return {};
}

void Vm::update_dirty_log(const Slot& slot) {
  if ((slot.flags & kMemLogDirtyPages) == 0) {
    mmu_->stop_dirty_log(slot.id);
    return;
  }
  mmu_->start_dirty_log(slot.id, slot.start, slot.size >> kPageShift,
                        (dirty_log_protect_ & kInitiallySet) != 0);
  flush_remote_tlbs(slot.start, slot.size);
}

Result<std::pair<Gpa, std::uint64_t>> Vm::logged_slot(std::uint32_t id) {
  if (id >= kUserMemSlots) return fail(Errno::kInval, "no such memslot number");
  const schedule::ReadLock reader(srcu_);
  const auto at = slots_.find(id);
  if (at == slots_.end() || (at->second->flags & kMemLogDirtyPages) == 0)
    return fail(Errno::kNoEnt, "the memslot has no dirty log");
  return std::pair{at->second->start, at->second->size};
}

Result<std::vector<std::uint64_t>> Vm::dirty_log(std::uint32_t id) {
  const schedule::Lock lock(slots_lock_);
  TEEIO_ASSIGN(const auto slot, logged_slot(id));
  auto bits = mmu_->dirty_log(id);
  if (!bits) return fail(Errno::kNoEnt, "the memslot has no dirty log");
  if ((dirty_log_protect_ & kManualProtect) == 0) {
    mmu_->clear_dirty_log(id, 0, *bits);
    flush_remote_tlbs(slot.first, slot.second);
  }
  return *bits;
}

Result<std::pair<Gpa, std::uint64_t>> Vm::logged_range(std::uint32_t id, std::uint64_t first,
                                                       std::uint64_t pages) {
  if (first % kWordBits != 0) return fail(Errno::kInval, "the first page is no multiple of 64");
  TEEIO_ASSIGN(const auto slot, logged_slot(id));
  const std::uint64_t all = slot.second >> kPageShift;
  if (first > all || pages > all - first || (pages < all - first && pages % kWordBits != 0))
    return fail(Errno::kInval, "the pages to clear are not the memslot's");
  return slot;
}

Result<void> Vm::check_dirty_range(std::uint32_t id, std::uint64_t first, std::uint64_t pages) {
  const schedule::Lock lock(slots_lock_);
  TEEIO_TRY(logged_range(id, first, pages));
  return {};
}

Result<void> Vm::clear_dirty_log(std::uint32_t id, std::uint64_t first, std::uint64_t pages,
                                 std::span<const std::uint64_t> mask) {
  const schedule::Lock lock(slots_lock_);
  TEEIO_ASSIGN(const auto slot, logged_range(id, first, pages));
  std::vector<std::uint64_t> cleared(mask.begin(), mask.end());
  cleared.resize(words_for(pages));
  if (pages % kWordBits != 0) cleared.back() &= (1ULL << (pages % kWordBits)) - 1;
  mmu_->clear_dirty_log(id, first, cleared);
  flush_remote_tlbs(slot.first, slot.second);
  return {};
}

}  // namespace teeio::kvm
