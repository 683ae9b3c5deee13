#pragma once

#include <memory>

#include "base/check.h"
#include "hw/cpu.h"
#include "schedule/atomic.h"

namespace teeio::guest {

/// A vCPU whose engine is opened when somebody runs it or asks for its registers: an engine has
/// 3 MiB that are touched, and a VM may have 1,024 vCPUs of which most never run.
///
/// Lifetime, locking: as hw::Cpu.
template <class Engine>
class LazyCpu final : public hw::Cpu {
 public:
  explicit LazyCpu(hw::GuestMemory& memory) : memory_(memory) {}

  Result<void> open() override { return make_engine(); }
  hw::CpuExit run() override { return engine().run(); }
  void kick() override {
    kicked_.store(true);
    if (hw::Cpu* const open = open_.load(); open != nullptr) open->kick();
  }
  void flush(Gpa start, std::uint64_t size_bytes) override {
    // Without an engine nothing is cached.
    if (hw::Cpu* const open = open_.load(); open != nullptr) open->flush(start, size_bytes);
  }
  void set_read_result(std::uint64_t value) override { engine().set_read_result(value); }
  void complete_io(std::uint64_t value) override { engine().complete_io(value); }
  void complete_input(ByteView data) override { engine().complete_input(data); }
  hw::CpuExit finish_instruction() override { return engine().finish_instruction(); }
  [[nodiscard]] bool inside_instruction() const override { return engine().inside_instruction(); }
  void set_debug(const hw::CpuDebug& debug) override { engine().set_debug(debug); }
  void set_stepping(bool on) override { engine().set_stepping(on); }
  bool take_step() override { return engine().take_step(); }
  [[nodiscard]] std::optional<hw::Pdptrs> pdptrs() const override { return engine().pdptrs(); }
  void set_pdptrs(const hw::Pdptrs& pdptrs) override { engine().set_pdptrs(pdptrs); }
  [[nodiscard]] hw::CpuRegisters registers() const override { return engine().registers(); }
  void set_registers(const hw::CpuRegisters& registers) override {
    engine().set_registers(registers);
  }
  Result<void> get_special(std::span<std::byte> out) const override {
    TEEIO_TRY(make_engine());
    return engine_->get_special(out);
  }
  Result<void> set_special(ByteView in) override {
    TEEIO_TRY(make_engine());
    return engine_->set_special(in);
  }
  void start_flat(const hw::FlatStart& start) override { engine().start_flat(start); }
  void set_private_bit(std::uint64_t bit) override { engine().set_private_bit(bit); }
  void set_msr(std::uint32_t number, std::uint64_t value) override {
    engine().set_msr(number, value);
  }
  [[nodiscard]] std::optional<std::uint64_t> msr(std::uint32_t number) const override {
    return engine().msr(number);
  }

 private:
  Result<void> make_engine() const {
    if (engine_ != nullptr) return {};
    TEEIO_ASSIGN(engine_, Engine::create(memory_));
    open_.store(engine_.get());
    if (kicked_.load()) engine_->kick();
    return {};
  }
  hw::Cpu& engine() const {
    TEEIO_CHECK(make_engine().has_value(), "a guest engine is used that open() was not asked for");
    return *engine_;
  }

  hw::GuestMemory& memory_;
  mutable std::unique_ptr<hw::Cpu> engine_;
  mutable schedule::Atomic<hw::Cpu*> open_{nullptr};  ///< engine_, for kick() and flush()
  schedule::Atomic<bool> kicked_{false};
};

/// Makes vCPUs without engines.
template <class Engine>
class LazyFactory final : public hw::CpuFactory {
 public:
  Result<std::unique_ptr<hw::Cpu>> make(hw::GuestMemory& memory) override {
    return std::make_unique<LazyCpu<Engine>>(memory);
  }
};

}  // namespace teeio::guest
