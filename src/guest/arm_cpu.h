#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "guest/arm_trap.h"
#include "guest/bus_log.h"
#include "hw/arm_exceptions.h"
#include "hw/cpu.h"
#include "schedule/atomic.h"

namespace teeio::guest {

/// A vCPU with AArch64 instructions on Unicorn, at EL1 with the MMU off: an address is a
/// guest address.
///
/// As UnicornCpu does it: nothing is mapped while guest code runs; an access to a page that
/// the engine does not hold stops it before the instruction has any effect, run() asks
/// GuestMemory, maps the page and starts the instruction again.
///
/// Exceptions are not delivered but by take_abort(): each one of the guest's own ends in
/// kShutdown. Where GuestMemory says kException the guest takes a synchronous external abort,
/// if it is at EL1 and has vectors. Turning the MMU on is kUnsupported.
/// Locking: run() and registers by one task at a time; kick() and flush() only set flags,
/// seen before the next instruction.
class ArmCpu final : public hw::Cpu, public hw::ArmCore, public hw::ArmExceptions {
 public:
  /// Errors: ENOMEM.
  static Result<std::unique_ptr<ArmCpu>> create(hw::GuestMemory& memory);
  ~ArmCpu() override;
  ArmCpu(const ArmCpu&) = delete;
  ArmCpu& operator=(const ArmCpu&) = delete;

  hw::CpuExit run() override;
  void kick() override;
  void flush(Gpa start, std::uint64_t size_bytes) override;
  void set_read_result(std::uint64_t value) override { read_result_ = value; }
  [[nodiscard]] hw::ArmCore* arm() override { return this; }

  // What an Arm vCPU has not.
  [[nodiscard]] hw::CpuRegisters registers() const override { return {}; }
  void set_registers(const hw::CpuRegisters&) override {}
  Result<void> get_special(std::span<std::byte> out) const override;
  Result<void> set_special(ByteView in) override;
  void start_flat(const hw::FlatStart&) override {}
  void set_private_bit(std::uint64_t) override {}
  void complete_io(std::uint64_t) override {}
  hw::CpuExit finish_instruction() override { return run(); }
  [[nodiscard]] bool inside_instruction() const override { return false; }
  void set_debug(const hw::CpuDebug&) override {}
  void set_stepping(bool) override {}
  bool take_step() override { return false; }
  [[nodiscard]] std::optional<hw::Pdptrs> pdptrs() const override { return std::nullopt; }
  void set_pdptrs(const hw::Pdptrs&) override {}
  void set_msr(std::uint32_t, std::uint64_t) override {}
  [[nodiscard]] std::optional<std::uint64_t> msr(std::uint32_t) const override {
    return std::nullopt;
  }

 private:
  struct alignas(kPageSize) BusPage {
    std::array<std::byte, kPageSize> bytes{};
  };
  /// A page that the engine holds.
  struct Page {
    std::byte* host;  ///< nullptr for a page of the bus
    std::uint32_t rights;
  };
  /// Why the engine was stopped by a hook.
  enum class Stop : std::uint8_t { kNone, kAttention, kTrap, kMissing, kExit };
  struct Missing {
    std::uint64_t address;
    hw::GuestAccess access;
  };

  ArmCpu(hw::GuestMemory& memory, uc_engine* uc) : memory_(memory), uc_(uc), done_(memory) {}
  Result<void> install_hooks();
  [[nodiscard]] hw::ArmRegisters arm_registers() const override;
  void set_arm_registers(const hw::ArmRegisters& registers) override;
  hw::ArmRegisters take_abort(std::uint64_t syndrome, std::uint64_t address) override;
  [[nodiscard]] std::uint64_t vector_for(std::uint64_t pstate) const;
  std::optional<hw::CpuExit> external_abort();

  // Between instructions.
  std::optional<hw::CpuExit> step();
  std::optional<hw::CpuExit> map_missing();
  std::optional<hw::CpuExit> perform(const ArmTrap& trap);
  void drop_pages();
  void unmap(std::uint64_t page);
  [[nodiscard]] std::uint64_t get(int reg) const;
  void set(int reg, std::uint64_t value);
  void advance();

  // Inside a hook.
  static void code_hook(uc_engine* uc, std::uint64_t address, std::uint32_t size, void* self);
  static bool access_hook(uc_engine* uc, uc_mem_type type, std::uint64_t address, int size,
                          std::int64_t value, void* self);
  void on_code(std::uint64_t address);
  bool on_access(uc_mem_type type, std::uint64_t address, unsigned size, std::uint64_t value);
  bool abandon(Stop stop);

  hw::GuestMemory& memory_;
  uc_engine* const uc_;
  uc_context* snapshot_ = nullptr;
  bool has_snapshot_ = false;
  std::map<std::uint64_t, Page> pages_;  ///< by address
  /// Behind every page of the bus: where a load finds what was read for it.
  const std::unique_ptr<BusPage> bus_page_ = std::make_unique<BusPage>();

  Stop stop_ = Stop::kNone;
  ArmTrap trap_;
  Missing missing_{};
  hw::CpuExit exit_;
  bool first_instruction_ = false;
  bool slice_used_up_ = false;
  bool lost_ = false;  ///< an exception that cannot be taken
  BusLog done_;
  std::uint64_t read_result_ = 0;
  std::uint64_t instructions_ = 0;
  std::uint64_t code_page_ = ~std::uint64_t{0};
  const std::byte* code_host_ = nullptr;

  schedule::Atomic<bool> attention_{false};
  schedule::Atomic<bool> kicked_{false};
  schedule::Atomic<bool> flushed_{false};
};

}  // namespace teeio::guest
