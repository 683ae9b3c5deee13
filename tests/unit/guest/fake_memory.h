#pragma once

#include <array>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <vector>

#include "base/check.h"
#include "guest/factory.h"
#include "guest/special_registers.h"
#include "hw/cpu.h"

namespace teeio::guest {

/// Second-stage tables of a test: pages by GPA. A page is RAM, or a BAR whose
/// accesses are logged; what is neither faults, or is emulated if so declared.
class FakeMemory final : public hw::GuestMemory {
 public:
  struct BusAccess {
    std::uint64_t gpa;
    std::size_t size;
    bool write;
    std::uint64_t value;
    bool operator==(const BusAccess&) const = default;
  };

  std::byte* add_ram(std::uint64_t gpa, bool writable = true) {
    auto& page = pages_[gpa];
    page.bytes = std::make_unique<std::array<std::byte, kPageSize>>();
    page.writable = writable;
    return page.bytes->data();
  }
  void make_writable(std::uint64_t gpa) { pages_.at(gpa).writable = true; }
  /// Memory of another process: no plain bytes to run from.
  void make_remote(std::uint64_t gpa) { pages_.at(gpa).remote = true; }
  void add_bus(std::uint64_t gpa) { pages_[gpa].bus = true; }
  void emulate(std::uint64_t gpa) { emulated_[gpa] = true; }
  /// An access there is the guest's own mistake.
  void refuse(std::uint64_t gpa) { refused_[gpa] = true; }
  void remove(std::uint64_t gpa) { pages_.erase(gpa); }

  void put(std::uint64_t gpa, std::initializer_list<std::uint8_t> bytes) {
    std::uint64_t at = gpa;
    for (const std::uint8_t byte : bytes) *byte_at(at++) = static_cast<std::byte>(byte);
  }
  void put_u64(std::uint64_t gpa, std::uint64_t value) {
    std::memcpy(byte_at(gpa), &value, sizeof value);
  }
  std::uint64_t get_u64(std::uint64_t gpa) {
    std::uint64_t value = 0;
    std::memcpy(&value, byte_at(gpa), sizeof value);
    return value;
  }

  std::expected<hw::GuestMapping, Miss> lookup(Gpa page, hw::GuestAccess access) override {
    if (refused_.contains(raw(page))) return std::unexpected(Miss::kException);
    const auto found = pages_.find(raw(page));
    if (found == pages_.end())
      return std::unexpected(emulated_.contains(raw(page)) ? Miss::kEmulated : Miss::kFault);
    if (access == hw::GuestAccess::kWrite && !found->second.writable)
      return std::unexpected(Miss::kFault);
    return hw::GuestMapping{Hpa{raw(page)}, found->second.writable, found->second.bus};
  }
  Result<void> read(const hw::GuestMapping& mapping, std::uint64_t offset,
                    std::span<std::byte> out) override {
    const std::uint64_t gpa = raw(mapping.address) + offset;
    if (mapping.mmio) {
      std::memcpy(out.data(), &next_read, out.size());
      bus.push_back({gpa, out.size(), false, 0});
      return {};
    }
    std::memcpy(out.data(), byte_at(gpa), out.size());
    return {};
  }
  Result<void> write(const hw::GuestMapping& mapping, std::uint64_t offset, ByteView in) override {
    const std::uint64_t gpa = raw(mapping.address) + offset;
    if (mapping.mmio) {
      std::uint64_t value = 0;
      std::memcpy(&value, in.data(), in.size());
      bus.push_back({gpa, in.size(), true, value});
      return {};
    }
    std::memcpy(byte_at(gpa), in.data(), in.size());
    return {};
  }
  std::span<std::byte> direct(const hw::GuestMapping& mapping) override {
    if (mapping.mmio || pages_.at(raw(mapping.address)).remote) return {};
    return *pages_.at(raw(mapping.address)).bytes;
  }

  std::vector<BusAccess> bus;
  std::uint64_t next_read = 0;

 private:
  struct Page {
    std::unique_ptr<std::array<std::byte, kPageSize>> bytes;
    bool writable = true;
    bool bus = false;
    bool remote = false;
  };
  std::byte* byte_at(std::uint64_t gpa) {
    return pages_.at(gpa & ~(kPageSize - 1)).bytes->data() + gpa % kPageSize;
  }
  std::map<std::uint64_t, Page> pages_;
  std::map<std::uint64_t, bool> emulated_;
  std::map<std::uint64_t, bool> refused_;
};

/// Flat 32-bit protected mode, paging off, with EFER as a TD's vCPU has it at first.
inline SpecialRegisters protected_mode() { return flat_state(0x31, 0x2040, 0x901); }

/// A vCPU about to run what is put at kCode.
struct Machine {
  static constexpr std::uint64_t kCode = 0x1000;

  Machine() : cpu(make_unicorn_factory()->make(memory).value()) { memory.add_ram(kCode); }

  void code(std::initializer_list<std::uint8_t> bytes) { memory.put(kCode, bytes); }

  /// Flat 32-bit protected mode without paging.
  void start32() {
    SpecialRegisters special = protected_mode();
    special.efer = 0;
    start(special);
  }
  /// 64-bit mode. Tables at 0x2000–0x5fff: the first 2 MiB map to themselves,
  /// but for the linear pages that alias() sets.
  void start64() {
    for (const std::uint64_t table : {0x2000UL, 0x3000UL, 0x4000UL, 0x5000UL})
      memory.add_ram(table);
    memory.put_u64(0x2000, 0x3003);
    memory.put_u64(0x3000, 0x4003);
    memory.put_u64(0x4000, 0x5003);
    for (std::uint64_t page = 0; page < 512; ++page)
      memory.put_u64(0x5000 + 8 * page, page << kPageShift | 3);
    SpecialRegisters special = protected_mode();
    special.cs.l = 1;
    special.cs.db = 0;
    special.cr0 |= kCr0Paging;
    special.cr3 = 0x2000;
    special.cr4 |= kCr4Pae;
    special.efer |= kEferLongModeActive;
    start(special);
  }
  void alias(std::uint64_t linear, std::uint64_t entry) {
    memory.put_u64(0x5000 + 8 * (linear >> kPageShift), entry);
  }
  void start(const SpecialRegisters& special) {
    const auto set = cpu->set_special(bytes_of(special));
    TEEIO_CHECK(set.has_value(), "the test's registers are good");
    hw::CpuRegisters registers;
    registers.rip = kCode;
    cpu->set_registers(registers);
  }
  template <class F>
  void with_registers(F change) {
    hw::CpuRegisters registers = cpu->registers();
    change(registers);
    cpu->set_registers(registers);
  }
  SpecialRegisters special() {
    SpecialRegisters now;
    TEEIO_CHECK(cpu->get_special(writable_bytes_of(now)).has_value(), "312 bytes");
    return now;
  }

  FakeMemory memory;
  std::unique_ptr<hw::Cpu> cpu;
};

using Reason = hw::CpuExit::Reason;

}  // namespace teeio::guest
