#pragma once

#include <cstddef>
#include <optional>

#include "run/fd.h"

namespace teeio::run {

/// A shared mapping of a file that the program can cut. It is listed in a table of the process
/// that a handler of SIGBUS can look into, for its place is taken by memory of nobody's when
/// the file is cut: the device reads zeros there, and writes go nowhere.
///
/// Locking: none; may be made and destroyed by several tasks at once.
class DmaMapping {
 public:
  /// Errors (errno): as mmap(); ENOMEM also when kMost mappings are there.
  static std::optional<DmaMapping> map(const Fd& file, std::size_t length, int prot, long offset);
  DmaMapping(DmaMapping&& other) noexcept;
  DmaMapping& operator=(DmaMapping&&) = delete;
  ~DmaMapping();

  [[nodiscard]] std::byte* address() const { return address_; }
  /// Nothing of it has been replaced.
  [[nodiscard]] bool is_whole() const;

  /// Half of vm.max_map_count as Linux has it (65530): a mapping that is cut becomes two.
  static constexpr std::size_t kMost = 32'000;
  /// How many pages of all mappings may be replaced while the file goes on behind them, as
  /// holes without room for them: each is two mappings more.
  static constexpr std::size_t kMostAlone = 256;

 private:
  DmaMapping(std::byte* address, std::size_t slot) : address_(address), slot_(slot) {}

  std::byte* address_;  ///< null: moved from
  std::size_t slot_;
};

/// For a handler of SIGBUS: `at` is in a mapping above whose file ends before it, or has no
/// memory for it. Puts memory there: up to the mapping's end, so that a file that is cut takes
/// one mapping and not one a page; a page of the file's size where the file goes on, as long as
/// DmaMapping::kMostAlone allows.
/// False: it is in no such mapping, or there is no memory.
[[nodiscard]] bool replace_cut(const void* at);

/// Whether replace_cut() took memory that the file goes on behind, as kMostAlone was reached,
/// since it was asked last.
[[nodiscard]] bool took_more_than_a_hole();

}  // namespace teeio::run
