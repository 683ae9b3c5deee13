#pragma once

#include <optional>
#include <span>

#include "hw/cpu.h"

namespace teeio::kvm {

/// An engine that runs nothing and keeps its registers.
class HeldCpu : public hw::Cpu {
 public:
  hw::CpuExit run() override { return {}; }
  void kick() override {}
  void flush(Gpa, std::uint64_t) override {}
  void set_read_result(std::uint64_t) override {}
  void complete_io(std::uint64_t) override {}
  hw::CpuExit finish_instruction() override { return {}; }
  [[nodiscard]] bool inside_instruction() const override { return false; }
  void set_debug(const hw::CpuDebug&) override {}
  void set_stepping(bool) override {}
  bool take_step() override { return false; }
  [[nodiscard]] std::optional<hw::Pdptrs> pdptrs() const override { return std::nullopt; }
  void set_pdptrs(const hw::Pdptrs&) override {}
  [[nodiscard]] hw::CpuRegisters registers() const override { return registers_; }
  void set_registers(const hw::CpuRegisters& registers) override { registers_ = registers; }
  Result<void> get_special(std::span<std::byte>) const override { return {}; }
  Result<void> set_special(ByteView) override { return {}; }
  void start_flat(const hw::FlatStart&) override {}
  void set_private_bit(std::uint64_t) override {}
  void set_msr(std::uint32_t, std::uint64_t) override {}
  [[nodiscard]] std::optional<std::uint64_t> msr(std::uint32_t) const override {
    return std::nullopt;
  }

 private:
  hw::CpuRegisters registers_;
};

}  // namespace teeio::kvm
