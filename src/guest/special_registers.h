#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace teeio::guest {

/// A segment register with its hidden part, laid out as KVM's kvm_segment.
struct Segment {
  std::uint64_t base = 0;
  std::uint32_t limit = 0xffff'ffff;  ///< bytes, after granularity
  std::uint16_t selector = 0;
  std::uint8_t type = 0;
  std::uint8_t present = 1;
  std::uint8_t dpl = 0;
  std::uint8_t db = 0;
  std::uint8_t s = 1;
  std::uint8_t l = 0;
  std::uint8_t g = 1;
  std::uint8_t avl = 0;
  std::uint8_t unusable = 0;
  std::uint8_t padding = 0;
  bool operator==(const Segment&) const = default;
};

struct DescriptorTable {
  std::uint64_t base = 0;
  std::uint16_t limit = 0xffff;
  std::uint16_t padding[3] = {};
};

/// The special registers, laid out as KVM's struct kvm_sregs: hw::Cpu hands
/// them over as bytes. Source: Linux arch/x86/include/uapi/asm/kvm.h.
struct SpecialRegisters {
  Segment cs, ds, es, fs, gs, ss, tr, ldt;
  DescriptorTable gdt, idt;
  std::uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0;
  std::uint64_t efer = 0;
  std::uint64_t apic_base = 0xfee0'0900;
  std::uint64_t interrupt_bitmap[4] = {};
};
static_assert(sizeof(SpecialRegisters) == 312);
static_assert(offsetof(SpecialRegisters, cr0) == 224);

inline constexpr std::uint64_t kCr0ProtectedMode = 1U << 0U;
inline constexpr std::uint64_t kCr0ExtensionType = 1U << 4U;  ///< always one
inline constexpr std::uint64_t kCr0WriteProtect = 1U << 16U;
inline constexpr std::uint64_t kCr0Paging = 1U << 31U;
inline constexpr std::uint64_t kCr4LargePages = 1U << 4U;
inline constexpr std::uint64_t kCr4Pae = 1U << 5U;
inline constexpr std::uint64_t kEferSyscall = 1U << 0U;
inline constexpr std::uint64_t kEferLongModeEnable = 1U << 8U;
inline constexpr std::uint64_t kEferLongModeActive = 1U << 10U;
inline constexpr std::uint64_t kEferNoExecute = 1U << 11U;

/// After reset: real mode. Source: Intel SDM vol. 3, table 10-1.
[[nodiscard]] SpecialRegisters reset_state();
/// Flat 32-bit protected mode: segments of 4 GiB, empty descriptor tables.
[[nodiscard]] SpecialRegisters flat_state(std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer);

/// What a program may set. Errors: EINVAL for a state that cannot be.
/// Source: Linux arch/x86/kvm/x86.c, kvm_is_valid_sregs().
Result<void> check_special(const SpecialRegisters& special);

/// The 8-byte descriptor that loads `segment`'s hidden part, and back.
[[nodiscard]] std::uint64_t descriptor_of(const Segment& segment);
[[nodiscard]] Segment segment_of(std::uint64_t descriptor, std::uint16_t selector);

}  // namespace teeio::guest
