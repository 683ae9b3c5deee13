#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "guest/special_registers.h"
#include "hw/cpu.h"

namespace teeio::guest {

/// One Unicorn instance, narrowed to what UnicornCpu needs: registers, segment
/// loading, and a memory that holds translations.
///
/// Unicorn 2.0.1 looks up memory by linear address whatever CR3 says, and takes
/// bits 40 and up of a page-table entry for reserved, so a TD's shared bit
/// could not pass. The engine is therefore always in long mode with paging
/// off, and what is mapped into it are linear pages: it is a TLB that its owner
/// fills. 32-bit and 16-bit code runs as compatibility code, by CS.
///
/// Locking: one task at a time.
class Engine {
 public:
  /// Errors: ENOMEM.
  static Result<std::unique_ptr<Engine>> open();
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] uc_engine* uc() const { return uc_; }

  /// Runs from RIP until a hook stops it or an exception comes up.
  void run();

  /// Remembers the registers as they are now, inside a hook: the state before
  /// the instruction, which a refused store would otherwise leave half done.
  void take_snapshot();
  /// Goes back to the last snapshot, if one was taken since the last call.
  void restore_snapshot();

  /// Maps a linear page; `host` has kPageSize bytes. Not within a hook.
  /// Errors: ENOMEM.
  Result<void> map(std::uint64_t linear_page, std::byte* host, std::uint32_t protection);
  /// Also forgets what was translated from the page.
  void unmap(std::uint64_t linear_page);

  [[nodiscard]] std::uint64_t get(int reg) const;
  void set(int reg, std::uint64_t value);

  [[nodiscard]] hw::CpuRegisters general() const;
  void set_general(const hw::CpuRegisters& registers);

  /// Loads the hidden parts of all segments, the tables and the control bits
  /// that Unicorn looks at. General registers keep their values.
  /// False when the processor would refuse a segment: nothing can be run then.
  /// Precondition: no page is mapped; segments passed check_segments().
  [[nodiscard]] bool load_special(const SpecialRegisters& special);
  /// Selectors and descriptor tables as they are now; other fields untouched.
  void store_tables(SpecialRegisters& special) const;

 private:
  explicit Engine(uc_engine* uc) : uc_(uc) {}
  bool run_segment_loader(const SpecialRegisters& special);

  uc_engine* const uc_;
  uc_context* pristine_ = nullptr;  ///< 64-bit mode at start
  uc_context* snapshot_ = nullptr;
  std::uint64_t snapshot_flags_ = 0;
  bool has_snapshot_ = false;
};

/// What the engine can run: a flat code segment at privilege level 0.
/// Errors: EINVAL.
Result<void> check_segments(const SpecialRegisters& special);

}  // namespace teeio::guest
