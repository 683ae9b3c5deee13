#include "guest/special_registers.h"

namespace teeio::guest {
namespace {

constexpr std::uint8_t kCodeReadable = 0xb;  // execute, read, accessed
constexpr std::uint8_t kDataWritable = 0x3;  // read, write, accessed
constexpr std::uint8_t kBusyTss = 0xb;
constexpr std::uint8_t kLdt = 0x2;

Segment real_mode(std::uint8_t type, std::uint16_t selector, std::uint64_t base) {
  Segment segment;
  segment.base = base;
  segment.limit = 0xffff;
  segment.selector = selector;
  segment.type = type;
  segment.g = 0;
  return segment;
}

Segment system(std::uint8_t type) {
  Segment segment = real_mode(type, 0, 0);
  segment.s = 0;
  return segment;
}

Segment flat32(std::uint8_t type) {
  Segment segment;
  segment.type = type;
  segment.db = 1;
  return segment;
}

void set_data_segments(SpecialRegisters& special, const Segment& data) {
  special.ds = special.es = special.fs = special.gs = special.ss = data;
}

}  // namespace

SpecialRegisters reset_state() {
  SpecialRegisters special;
  special.cs = real_mode(kCodeReadable, 0xf000, 0xffff'0000);
  set_data_segments(special, real_mode(kDataWritable, 0, 0));
  special.tr = system(kBusyTss);
  special.ldt = system(kLdt);
  special.cr0 = 0x6000'0010;
  return special;
}

SpecialRegisters flat_state(std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer) {
  SpecialRegisters special;
  special.cs = flat32(kCodeReadable);
  set_data_segments(special, flat32(kDataWritable));
  special.tr = system(kBusyTss);
  special.ldt = system(kLdt);
  special.gdt.limit = 0;
  special.idt.limit = 0;
  special.cr0 = cr0;
  special.cr4 = cr4;
  special.efer = efer;
  return special;
}

Result<void> check_special(const SpecialRegisters& special) {
  constexpr std::uint64_t kCr0NotWriteThrough = 1U << 29U;
  constexpr std::uint64_t kCr0CacheDisable = 1U << 30U;
  constexpr std::uint64_t kCr4Known = 0x77'7fff;
  constexpr std::uint64_t kEferKnown =
      kEferSyscall | kEferLongModeEnable | kEferLongModeActive | kEferNoExecute;
  const bool paging = (special.cr0 & kCr0Paging) != 0;
  if (special.cr0 >> 32U != 0) return fail(Errno::kInval, "CR0 has bits above 31");
  if ((special.cr0 & (kCr0NotWriteThrough | kCr0CacheDisable)) == kCr0NotWriteThrough)
    return fail(Errno::kInval, "CR0.NW without CR0.CD");
  if (paging && (special.cr0 & kCr0ProtectedMode) == 0)
    return fail(Errno::kInval, "paging without protected mode");
  if ((special.cr4 & ~kCr4Known) != 0) return fail(Errno::kInval, "CR4 has an unknown bit");
  if ((special.efer & ~kEferKnown) != 0) return fail(Errno::kInval, "EFER has an unknown bit");
  if (paging && (special.efer & kEferLongModeEnable) != 0) {
    if ((special.cr4 & kCr4Pae) == 0 || (special.efer & kEferLongModeActive) == 0)
      return fail(Errno::kInval, "long mode needs PAE and EFER.LMA");
  } else if ((special.efer & kEferLongModeActive) != 0 || special.cs.l != 0) {
    return fail(Errno::kInval, "64-bit state without long mode");
  }
  return {};
}

std::uint64_t descriptor_of(const Segment& segment) {
  const std::uint64_t limit = segment.g != 0 ? segment.limit >> 12U : segment.limit;
  const std::uint64_t flags =
      static_cast<std::uint64_t>(segment.type & 15U) | (segment.s != 0 ? 1U << 4U : 0U) |
      (segment.dpl & 3U) << 5U | (segment.present != 0 ? 1U << 7U : 0U) |
      (segment.avl != 0 ? 1U << 12U : 0U) | (segment.l != 0 ? 1U << 13U : 0U) |
      (segment.db != 0 ? 1U << 14U : 0U) | (segment.g != 0 ? 1U << 15U : 0U);
  return (limit & 0xffffU) | (segment.base & 0xff'ffffU) << 16U | flags << 40U |
         ((limit >> 16U) & 15U) << 48U | ((segment.base >> 24U) & 0xffU) << 56U;
}

Segment segment_of(std::uint64_t descriptor, std::uint16_t selector) {
  const auto bit = [descriptor](unsigned at) {
    return static_cast<std::uint8_t>((descriptor >> at) & 1U);
  };
  Segment segment;
  segment.selector = selector;
  segment.base = ((descriptor >> 16U) & 0xff'ffffU) | ((descriptor >> 56U) & 0xffU) << 24U;
  segment.g = bit(55);
  const std::uint64_t limit = (descriptor & 0xffffU) | ((descriptor >> 48U) & 15U) << 16U;
  segment.limit = static_cast<std::uint32_t>(segment.g != 0 ? limit << 12U | 0xfffU : limit);
  segment.type = static_cast<std::uint8_t>((descriptor >> 40U) & 15U);
  segment.s = bit(44);
  segment.dpl = static_cast<std::uint8_t>((descriptor >> 45U) & 3U);
  segment.present = bit(47);
  segment.avl = bit(52);
  segment.l = bit(53);
  segment.db = bit(54);
  return segment;
}

}  // namespace teeio::guest
