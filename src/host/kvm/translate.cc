#include "host/kvm/translate.h"

#include "base/bytes.h"
#include "host/kvm/memory_slot.h"
#include "host/kvm/vm.h"

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kPaging = 1ULL << 31U;         // CR0
constexpr std::uint64_t kLargePages = 1U << 4U;        // CR4
constexpr std::uint64_t kPae = 1U << 5U;               // CR4
constexpr std::uint64_t kLongModeActive = 1U << 10U;   // EFER
constexpr std::uint64_t kNoExecuteEnable = 1U << 11U;  // EFER
constexpr std::uint64_t kPresent = 1U << 0U;           // entries
constexpr std::uint64_t kAccessed = 1U << 5U;
constexpr std::uint64_t kLarge = 1U << 7U;
constexpr std::uint64_t kNoExecute = 1ULL << 63U;
constexpr std::uint64_t kAddressBits = 0x000f'ffff'ffff'f000ULL;

/// The shape of one paging mode.
struct Format {
  unsigned levels, index_bits, entry_bytes;
};

Format format_of(const GuestPaging& paging) {
  if ((paging.efer & kLongModeActive) != 0) return {4, 9, 8};
  if ((paging.cr4 & kPae) != 0) return {3, 9, 8};
  return {2, 10, 4};
}

bool is_leaf(const Format& format, const GuestPaging& paging, unsigned level, std::uint64_t entry) {
  if (level == 1) return true;
  if ((entry & kLarge) == 0) return false;
  if (format.levels == 2) return (paging.cr4 & kLargePages) != 0;
  return level == 2 || (level == 3 && format.levels == 4);
}

/// kvm_vcpu_gfn_to_hva_prot()
std::optional<std::uint64_t> address_in_program(Vm& vm, Gpa at) {
  const schedule::ReadLock reader(vm.srcu());
  const Slot* slot = vm.find_slot(page_of(at));
  if (slot == nullptr) return std::nullopt;
  return slot->userspace_addr + (raw(at) - raw(slot->start));
}

/// One entry of a table. nullopt: no memory of the program is there.
std::optional<std::uint64_t> read_entry(Vm& vm, mm::UserMemory& memory, Gpa slot, unsigned size) {
  const auto at = address_in_program(vm, slot);
  std::uint64_t entry = 0;
  if (!at || !memory.read(*at, writable_bytes_of(entry).first(size))) return std::nullopt;
  return entry;
}

}  // namespace

bool GuestPaging::pae() const {
  return (cr0 & kPaging) != 0 && (cr4 & kPae) != 0 && (efer & kLongModeActive) == 0;
}

std::optional<hw::Pdptrs> load_pdptrs(Vm& vm, mm::UserMemory& memory, std::uint64_t cr3,
                                      std::uint64_t reserved_gpa_bits) {
  constexpr std::uint64_t kReservedFlags = 0x1e6;
  const std::uint64_t reserved = reserved_gpa_bits | kReservedFlags;
  hw::Pdptrs entries{};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto entry =
        read_entry(vm, memory, Gpa{(cr3 & ~std::uint64_t{31}) + i * sizeof(std::uint64_t)},
                   sizeof(std::uint64_t));
    if (!entry || ((*entry & kPresent) != 0 && (*entry & reserved) != 0)) return std::nullopt;
    entries[i] = *entry;
  }
  return entries;
}

std::optional<Gpa> translate(Vm& vm, mm::UserMemory& memory, const GuestPaging& paging,
                             std::uint64_t linear) {
  if ((paging.cr0 & kPaging) == 0) return Gpa{linear};
  const Format format = format_of(paging);
  std::uint64_t table = paging.cr3 & kAddressBits;
  unsigned level = format.levels;
  if (level == 3) {
    const std::uint64_t entry = paging.pdptrs.value_or(hw::Pdptrs{})[(linear >> 30U) & 3U];
    if ((entry & kPresent) == 0) return std::nullopt;
    table = entry & kAddressBits;
    --level;
  }
  for (; level > 0; --level) {
    const unsigned shift = kPageShift + (level - 1) * format.index_bits;
    const std::uint64_t index = (linear >> shift) & ((1ULL << format.index_bits) - 1);
    const Gpa slot{table + index * format.entry_bytes};
    const auto found = read_entry(vm, memory, slot, format.entry_bytes);
    if (!found || (*found & kPresent) == 0) return std::nullopt;
    std::uint64_t entry = *found;
    if ((entry & kNoExecute) != 0 && (paging.efer & kNoExecuteEnable) == 0) return std::nullopt;
    if ((entry & kAccessed) == 0) {
      entry |= kAccessed;
      const auto at = address_in_program(vm, slot);
      if (!at || !memory.write(*at, bytes_of(entry).first(format.entry_bytes))) return std::nullopt;
    }
    const std::uint64_t inside = (1ULL << shift) - 1;
    if (is_leaf(format, paging, level, entry))
      return Gpa{(entry & kAddressBits & ~inside) | (linear & inside)};
    table = entry & kAddressBits;
  }
  return std::nullopt;
}

}  // namespace teeio::kvm
