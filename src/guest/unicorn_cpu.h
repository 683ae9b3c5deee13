#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "guest/bus_log.h"
#include "guest/engine.h"
#include "guest/intercept.h"
#include "guest/page_walk.h"
#include "hw/cpu.h"
#include "schedule/atomic.h"

namespace teeio::guest {

/// A vCPU on Unicorn.
///
/// Nothing is mapped while guest code runs: an access to a page that the engine
/// does not hold stops it before the instruction has any effect; run() then
/// walks the guest's tables, asks GuestMemory, maps the page and starts the
/// instruction again. Memory that is no RAM is held as a page without rights, so
/// every access to it comes to on_access() and goes to the bus from there.
///
/// An instruction that is stopped is run again from its start; what it has done on the
/// bus is in a BusLog.
///
/// Exceptions are not delivered to the guest: each one ends in kShutdown.
/// Locking: run(), registers and special registers by one task at a time;
/// kick() and flush() only set flags, seen before the next instruction.
class UnicornCpu final : public hw::Cpu {
 public:
  static Result<std::unique_ptr<UnicornCpu>> create(hw::GuestMemory& memory);
  ~UnicornCpu() override = default;

  hw::CpuExit run() override;
  void kick() override;
  void flush(Gpa start, std::uint64_t size_bytes) override;
  void set_read_result(std::uint64_t value) override;
  void complete_io(std::uint64_t value) override;
  void complete_input(ByteView data) override;
  hw::CpuExit finish_instruction() override;
  [[nodiscard]] bool inside_instruction() const override { return !done_.empty() || string_input_; }
  void set_debug(const hw::CpuDebug& debug) override;
  void set_stepping(bool on) override { stepping_ = on; }
  bool take_step() override;
  [[nodiscard]] std::optional<hw::Pdptrs> pdptrs() const override { return pdptrs_; }
  void set_pdptrs(const hw::Pdptrs& pdptrs) override;
  [[nodiscard]] hw::CpuRegisters registers() const override;
  void set_registers(const hw::CpuRegisters& registers) override;
  Result<void> get_special(std::span<std::byte> out) const override;
  Result<void> set_special(ByteView in) override;
  void start_flat(const hw::FlatStart& start) override;
  void set_private_bit(std::uint64_t bit) override;
  void set_msr(std::uint32_t number, std::uint64_t value) override;
  [[nodiscard]] std::optional<std::uint64_t> msr(std::uint32_t number) const override;

 private:
  struct alignas(kPageSize) BusPage {
    std::array<std::byte, kPageSize> bytes{};
  };
  /// One linear page that the engine holds.
  struct Page {
    Gpa gpa;
    std::byte* host;       ///< bytes to fetch from; nullptr for a page of the bus
    std::uint32_t rights;  ///< UC_PROT_*
    /// Of memory that cannot be mapped here: its bytes, to run from. Loads and
    /// stores go to the memory itself, as to the bus.
    std::unique_ptr<BusPage> copy = nullptr;
    [[nodiscard]] const std::byte* code() const { return copy ? copy->bytes.data() : host; }
  };
  /// Why the engine was stopped by a hook.
  enum class Stop : std::uint8_t {
    kNone,
    kAttention,  ///< a kick, a flush or a full table
    kIntercept,  ///< `intercept_`
    kMissing,    ///< `missing_` must be mapped
    kExit,       ///< `exit_`
  };
  struct Missing {
    std::uint64_t linear;
    hw::GuestAccess access;
  };

  UnicornCpu(hw::GuestMemory& memory, std::unique_ptr<Engine> engine)
      : memory_(memory), engine_(std::move(engine)), done_(memory) {}
  Result<void> install_hooks();

  // Between instructions.
  std::optional<hw::CpuExit> step();
  std::optional<hw::CpuExit> map_missing();
  std::optional<hw::CpuExit> perform(const Intercept& intercept);
  std::optional<hw::CpuExit> io(const Intercept& intercept);
  std::optional<hw::CpuExit> string_io(const Intercept& now);
  std::optional<hw::CpuExit> string_output(const Intercept& now);
  std::optional<hw::CpuExit> string_input(const Intercept& now, std::uint64_t count);
  /// What INS has read goes to memory; an element at a time, so that any may fault.
  std::optional<hw::CpuExit> store_input();
  std::optional<hw::CpuExit> store_element();
  std::optional<hw::CpuExit> touch(std::uint64_t linear, unsigned size, bool write,
                                   std::uint64_t& value);
  void step_string(const Intercept& now, int reg);
  [[nodiscard]] std::uint64_t string_base(const Intercept& now) const;
  [[nodiscard]] std::uint64_t string_address(const Intercept& now, int reg) const;
  hw::CpuExit page_call(const Intercept& intercept, hw::GuestCall call);
  std::optional<hw::CpuExit> write_control(const Intercept& intercept);
  void read_control(const Intercept& intercept);
  bool write_msr();
  void read_msr();
  /// walk() with the tables as they are; loads the PDPTRs first where that is due.
  std::expected<Translation, WalkStop> translate(std::uint64_t linear, hw::GuestAccess access);
  void drop_pages();
  std::optional<hw::CpuExit> map_copy(std::uint64_t linear, Gpa page,
                                      const hw::GuestMapping& mapping);
  void refresh_copies();
  void advance(std::uint8_t length);
  void load(const SpecialRegisters& special);
  [[nodiscard]] SpecialRegisters special() const;
  [[nodiscard]] Segment live_segment(const Segment& loaded, int reg) const;
  [[nodiscard]] PagingState paging() const;
  [[nodiscard]] bool pae_paging() const;
  [[nodiscard]] CodeSize code_size() const;

  // Inside a hook.
  static void code_hook(uc_engine* uc, std::uint64_t address, std::uint32_t size, void* self);
  static bool access_hook(uc_engine* uc, uc_mem_type type, std::uint64_t address, int size,
                          std::int64_t value, void* self);
  static void watch_hook(uc_engine* uc, uc_mem_type type, std::uint64_t address, int size,
                         std::int64_t value, void* self);
  void on_code(std::uint64_t address, std::uint32_t size);
  /// An instruction that ran is at its end.
  void end_instruction();
  /// run() comes back with kKicked, and the instruction that is next has not begun.
  void stop_before_next();
  /// Whether the instruction at `address` does not start, because of debug_.
  bool stops_for_debug(std::uint64_t address, std::span<const std::uint8_t> code);
  void on_watched(std::uint64_t address, unsigned size, bool write);
  bool on_access(uc_mem_type type, std::uint64_t address, unsigned size, std::uint64_t value);
  bool on_bus(const Page& page, std::uint64_t address, unsigned size, bool write,
              std::uint64_t value);
  /// Stops the engine before the present instruction counts as done.
  bool abandon(Stop stop);
  bool leave(const hw::CpuExit& exit);
  std::span<const std::uint8_t> code_at(std::uint64_t address, std::uint32_t size);

  hw::GuestMemory& memory_;
  const std::unique_ptr<Engine> engine_;

  // Architectural state that Unicorn must not see, or keeps only partly.
  SpecialRegisters loaded_ = reset_state();  ///< hidden segment parts, CR3, CR4, EFER …
  bool runnable_ = false;                    ///< loaded_ is in the engine
  std::uint64_t private_bit_ = 0;
  std::map<std::uint32_t, std::uint64_t> shared_msrs_;

  std::map<std::uint64_t, Page> pages_;  ///< by linear page
  /// Behind every page of the bus: where a load finds what was read for it.
  const std::unique_ptr<BusPage> bus_page_ = std::make_unique<BusPage>();

  Stop stop_ = Stop::kNone;
  Intercept intercept_;
  Missing missing_{};
  hw::CpuExit exit_;
  bool first_instruction_ = false;
  bool drop_soon_ = false;
  bool slice_used_up_ = false;
  BusLog done_;
  std::optional<hw::CpuExit> port_access_;  ///< a kIo exit that is not completed
  Intercept port_instruction_;              ///< of port_access_
  std::uint64_t port_rip_ = 0;
  struct StringInput {
    Intercept instruction;
    std::vector<std::byte> bytes;
    std::size_t next;
  };
  std::optional<StringInput> string_input_;  ///< of the present INS, not stored yet
  bool only_finish_ = false;                 ///< stop at the end of the present instruction
  hw::CpuDebug debug_;
  bool debugging_ = false;
  bool stepping_ = false;      ///< a trap behind each instruction: RFLAGS.TF, as the owner has it
  bool stack_shadow_ = false;  ///< the instruction before has loaded SS
  bool ended_ = false;         ///< an instruction has ended since debug_ was looked at
  bool resume_flag_ = false;   ///< RFLAGS.RF
  std::uint64_t watched_ = 0;  ///< of DR6: what the present instruction has touched
  std::vector<uc_hook> watches_;
  std::optional<hw::Pdptrs> pdptrs_;  ///< of PAE paging; nullopt: to be loaded
  std::uint64_t read_result_ = 0;
  std::uint64_t instructions_ = 0;
  std::uint64_t code_page_ = ~std::uint64_t{0};  ///< linear page that code_host_ is, if any
  const std::byte* code_host_ = nullptr;
  std::vector<std::uint8_t> code_;  ///< an instruction that crosses pages

  schedule::Atomic<bool> attention_{false};
  schedule::Atomic<bool> kicked_{false};
  schedule::Atomic<bool> flushed_{false};
};

}  // namespace teeio::guest
