#include "guest/page_walk.h"

#include <optional>

#include "base/bytes.h"

namespace teeio::guest {
namespace {

constexpr std::uint64_t kPresent = 1U << 0U;
constexpr std::uint64_t kWritable = 1U << 1U;
constexpr std::uint64_t kAccessed = 1U << 5U;
constexpr std::uint64_t kDirty = 1U << 6U;
constexpr std::uint64_t kLarge = 1U << 7U;
constexpr std::uint64_t kNoExecute = 1ULL << 63U;
constexpr std::uint64_t kAddressBits = 0x000f'ffff'ffff'f000ULL;

/// The shape of one paging mode.
struct Format {
  unsigned levels;
  unsigned index_bits;  ///< of every level but PAE's uppermost
  unsigned entry_bytes;
};

Format format_of(const PagingState& paging) {
  if (paging.long_mode) return {4, 9, 8};
  if (paging.pae) return {3, 9, 8};
  return {2, 10, 4};
}

class Walker {
 public:
  Walker(hw::GuestMemory& memory, const PagingState& paging)
      : memory_(memory), paging_(paging), format_(format_of(paging)) {}

  std::expected<hw::Pdptrs, WalkStop> load_pdptrs() {
    constexpr std::uint64_t kReserved = 0xfff0'0000'0000'01e6;
    const std::uint64_t table = (paging_.cr3 & 0xffff'ffe0ULL) | paging_.private_bit;
    hw::Pdptrs entries{};
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto entry = load(Gpa{table + i * sizeof(std::uint64_t)});
      if (!entry) return std::unexpected(entry.error());
      if ((*entry & kPresent) != 0 && (*entry & kReserved) != 0) return std::unexpected(kFault);
      entries[i] = *entry;
    }
    return entries;
  }

  std::expected<Translation, WalkStop> walk(std::uint64_t linear, hw::GuestAccess access) {
    unsigned level = format_.levels;
    std::uint64_t table_bits = paging_.cr3;
    if (level == 3) {  // its uppermost entries carry no rights
      table_bits = paging_.pdptrs[(linear >> 30U) & 3U];
      if ((table_bits & kPresent) == 0) return std::unexpected(kFault);
      --level;
    }
    Gpa table{(table_bits & kAddressBits) | paging_.private_bit};
    bool writable = true;
    bool executable = true;
    for (; level > 0; --level) {
      const unsigned shift = kPageShift + (level - 1) * format_.index_bits;
      const std::uint64_t index = (linear >> shift) & ((1ULL << format_.index_bits) - 1);
      const Gpa slot = table + index * format_.entry_bytes;
      auto entry = load(slot);
      if (!entry) return std::unexpected(entry.error());
      if ((*entry & kPresent) == 0) return std::unexpected(kFault);
      writable = writable && (*entry & kWritable) != 0;
      executable = executable && !(paging_.no_execute && (*entry & kNoExecute) != 0);
      const bool leaf = level == 1 || is_large(*entry, level);
      if (!leaf) {
        if (auto stop = mark(slot, *entry, kAccessed)) return std::unexpected(*stop);
        table = Gpa{(*entry & kAddressBits) | paging_.private_bit};
        continue;
      }
      if (!allowed(access, writable, executable)) return std::unexpected(kFault);
      const std::uint64_t marks =
          access == hw::GuestAccess::kWrite ? kAccessed | kDirty : kAccessed;
      if (auto stop = mark(slot, *entry, marks)) return std::unexpected(*stop);
      const std::uint64_t inside = (1ULL << shift) - 1;
      const std::uint64_t base = *entry & kAddressBits & ~inside;
      return Translation{page_of(Gpa{base | (linear & inside) | forced(access)})};
    }
    return std::unexpected(kFault);
  }

 private:
  static constexpr WalkStop kFault{WalkStop::Kind::kPageFault};

  [[nodiscard]] bool is_large(std::uint64_t entry, unsigned level) const {
    if ((entry & kLarge) == 0) return false;
    if (format_.levels == 2) return level == 2 && paging_.large_pages;
    return level == 2 || (level == 3 && format_.levels == 4);
  }

  [[nodiscard]] bool allowed(hw::GuestAccess access, bool writable, bool executable) const {
    switch (access) {
      case hw::GuestAccess::kRead:
        return true;
      case hw::GuestAccess::kWrite:
        return writable || !paging_.write_protect;
      case hw::GuestAccess::kFetch:
        return executable;
    }
    return false;
  }

  /// Entries of 4 bytes have no place for the private bit, and code is private always.
  [[nodiscard]] std::uint64_t forced(hw::GuestAccess access) const {
    return access == hw::GuestAccess::kFetch || format_.entry_bytes == 4 ? paging_.private_bit : 0;
  }

  std::expected<std::uint64_t, WalkStop> load(Gpa slot) {
    const auto mapping = memory_.lookup(page_of(slot), hw::GuestAccess::kRead);
    if (!mapping && mapping.error() == hw::GuestMemory::Miss::kException)
      return std::unexpected(kFault);
    if (!mapping) return std::unexpected(missing(slot, hw::GuestAccess::kRead));
    std::uint64_t entry = 0;
    if (!memory_.read(*mapping, offset_in_page(slot),
                      writable_bytes_of(entry).first(format_.entry_bytes))) {
      return std::unexpected(missing(slot, hw::GuestAccess::kRead));
    }
    return entry;
  }

  /// Sets bits of an entry that has them not; nullopt when done.
  std::optional<WalkStop> mark(Gpa slot, std::uint64_t entry, std::uint64_t bits) {
    if ((entry & bits) == bits) return std::nullopt;
    const auto mapping = memory_.lookup(page_of(slot), hw::GuestAccess::kWrite);
    if (!mapping) return missing(slot, hw::GuestAccess::kWrite);
    entry |= bits;
    if (!memory_.write(*mapping, offset_in_page(slot), bytes_of(entry).first(format_.entry_bytes)))
      return missing(slot, hw::GuestAccess::kWrite);
    return std::nullopt;
  }

  static WalkStop missing(Gpa slot, hw::GuestAccess access) {
    return {WalkStop::Kind::kNoMapping, slot, access};
  }

  hw::GuestMemory& memory_;
  const PagingState& paging_;
  const Format format_;
};

bool is_canonical(std::uint64_t linear) {
  const std::uint64_t top = linear >> 47U;
  return top == 0 || top == 0x1ffff;
}

}  // namespace

std::expected<Translation, WalkStop> walk(hw::GuestMemory& memory, const PagingState& paging,
                                          std::uint64_t linear, hw::GuestAccess access) {
  if (!paging.enabled)
    return Translation{page_of(Gpa{(linear & 0xffff'ffffULL) | paging.private_bit})};
  if (paging.long_mode && !is_canonical(linear))
    return std::unexpected(WalkStop{WalkStop::Kind::kNotCanonical});
  return Walker(memory, paging).walk(linear, access);
}

std::expected<hw::Pdptrs, WalkStop> load_pdptrs(hw::GuestMemory& memory,
                                                const PagingState& paging) {
  return Walker(memory, paging).load_pdptrs();
}

}  // namespace teeio::guest
