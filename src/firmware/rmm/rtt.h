#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/types.h"
#include "firmware/rmm/types.h"
#include "hw/physical_memory.h"

namespace teeio::rmm {

/// What the realm thinks of an IPA. Source: TF-RMM lib/s2tt/include/ripas.h.
enum class Ripas : std::uint8_t { kEmpty = 0, kRam = 1, kDestroyed = 2, kDev = 3 };

/// A realm's stage-2 tables: 39 bits of address, tables from level 1 on, 512 entries
/// each. What is valid for the realm is a descriptor in its granules, where CPUs and SMMUs
/// read it; the states behind the others are here.
///
/// Lifetime: the memory outlives it. Locking: the monitor's.
class Rtt {
 public:
  static constexpr std::uint8_t kRootLevel = 1;
  static constexpr std::uint32_t kAddressBits = 39;
  static constexpr std::uint64_t kAddresses = std::uint64_t{1} << kAddressBits;
  /// The lower half is protected.
  static constexpr std::uint64_t kProtected = kAddresses / 2;

  struct Entry {
    Ripas ripas = Ripas::kEmpty;
    std::optional<Hpa> address{};  ///< assigned_dev
    Bdf tdi{};                     ///< whose memory that is
    bool data = false;             ///< RAM, and no device memory
    bool shared = false;  ///< assigned_ns: the host's memory, outside of the protected half
    std::uint64_t attributes = 0;  ///< of shared memory, in a descriptor's bits
    /// What the realm, its devices included, reaches.
    [[nodiscard]] bool valid() const {
      return address && (shared || ripas == (data ? Ripas::kRam : Ripas::kDev));
    }
    bool operator==(const Entry&) const = default;
  };
  /// Where a walk ends: the table's level, and the entry there.
  struct Walk {
    std::uint8_t level = kRootLevel;
    bool table = false;  ///< the entry is a table (the walk went no deeper)
  };

  /// The root's granule is the monitor's, and empty.
  Rtt(hw::PhysicalMemory& memory, Hpa root) : memory_(&memory), root_(root) {}

  /// Goes down to `wanted` at most.
  [[nodiscard]] Walk walk(Gpa ipa, std::uint8_t wanted) const;
  /// The entry of that level. Precondition: a walk ended there, and it is no table.
  [[nodiscard]] Entry entry(Gpa ipa, std::uint8_t level) const;
  void set(Gpa ipa, std::uint8_t level, const Entry& entry);

  /// A table of `level` for the addresses around `ipa`, which maps what the entry above did.
  /// Precondition: a walk ended one level above, at an entry that is no table.
  void add_table(Gpa ipa, std::uint8_t level, Hpa granule);
  /// Takes it away; the entry above is unassigned and, where it is protected, DESTROYED. Gives
  /// the granule.
  /// Precondition: it is there, and live() is false.
  Hpa remove_table(Gpa ipa, std::uint8_t level);
  /// The entry that says the same as all of a table's; nullopt: there is none.
  [[nodiscard]] std::optional<Entry> folded(Gpa ipa, std::uint8_t level) const;
  /// Takes it away; `entry`, which folded() gave, is in its place. Gives the granule.
  Hpa fold_table(Gpa ipa, std::uint8_t level, const Entry& entry);
  [[nodiscard]] bool has_table(Gpa ipa, std::uint8_t level) const;
  [[nodiscard]] Hpa table(Gpa ipa, std::uint8_t level) const;
  /// Whether a table maps something of the realm's or has tables below it: its granule's
  /// reference count, in which shared memory is not. The root's: level 1.
  [[nodiscard]] bool live(Gpa ipa, std::uint8_t level) const;

 private:
  struct Key {
    std::uint8_t level;
    std::uint64_t base;
    auto operator<=>(const Key&) const = default;
  };
  static Key key(Gpa ipa, std::uint8_t level, std::uint64_t bytes) {
    return {level, raw(ipa) & ~(bytes - 1)};
  }
  /// Bytes that a table of that level covers.
  static std::uint64_t span(std::uint8_t level) { return level_bytes(level) * 512; }
  [[nodiscard]] bool any_entry(Gpa base, std::uint8_t level) const;
  Hpa take_table(Gpa ipa, std::uint8_t level);
  /// Writes the descriptor of an entry of that level.
  void write(Gpa ipa, std::uint8_t level, std::uint64_t word);

  hw::PhysicalMemory* memory_;
  Hpa root_;

  std::map<Key, Hpa> tables_;     ///< below the root, by level and first address
  std::map<Key, Entry> entries_;  ///< those that are not unassigned and EMPTY
};

}  // namespace teeio::rmm
