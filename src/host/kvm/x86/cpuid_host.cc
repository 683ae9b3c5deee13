#include "host/kvm/x86/cpuid.h"

// What KVM_GET_SUPPORTED_CPUID and KVM_GET_EMULATED_CPUID answer, in Linux's order: each
// leaf up to the last one of its group (arch/x86/kvm/cpuid.c, kvm_dev_ioctl_get_cpuid()).

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint32_t bits(std::initializer_list<unsigned> set) {
  std::uint32_t value = 0;
  for (const unsigned bit : set) value |= 1U << bit;
  return value;
}

// SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, x2APIC, MOVBE, POPCNT, TSC deadline,
// AES, XSAVE, hypervisor.
constexpr std::uint32_t kLeaf1Ecx = bits({0, 1, 9, 13, 19, 20, 21, 22, 23, 24, 25, 26, 31});
// FPU to SSE2, and self-snoop.
constexpr std::uint32_t kLeaf1Edx = 0x0f8b'fbff;
// FSGSBASE, TSC_ADJUST, BMI1, SMEP, BMI2, ERMS, SMAP, ADX, CLFLUSHOPT.
constexpr std::uint32_t kLeaf7Ebx = bits({0, 1, 3, 7, 8, 9, 19, 20, 23});
constexpr std::uint32_t kLeaf7Ecx = bits({2});   // UMIP
constexpr std::uint32_t kLeaf7Edx = bits({29});  // ARCH_CAPABILITIES
// XSAVEOPT, XGETBV with ECX = 1.
constexpr std::uint32_t kLeafDEax = bits({0, 2});
constexpr std::uint32_t kExtendedEcx = bits({0, 5, 8});         // LAHF, LZCNT, PREFETCHW
constexpr std::uint32_t kExtendedEdx = bits({11, 20, 26, 29});  // SYSCALL, NX, 1 GiB, long mode
constexpr std::uint32_t kXsaveSize = 576;                       // legacy area and header

constexpr std::uint32_t kLastLeaf = 0x1f;
constexpr std::uint32_t kLastExtended = 0x8000'0008;
constexpr std::uint32_t kSignature = 0x4000'0000;

bool indexed(std::uint32_t function) {
  switch (function) {  // do_host_cpuid()
    case 4:
    case 7:
    case 0xb:
    case 0xd:
    case 0xf:
    case 0x10:
    case 0x12:
    case 0x14:
    case 0x17:
    case 0x18:
    case 0x1d:
    case 0x1e:
    case 0x1f:
      return true;
    default:
      return false;
  }
}

void add(std::vector<CpuidEntry>& list, CpuidEntry entry) {
  if (indexed(entry.function)) entry.flags = kSignificantIndex;
  list.push_back(entry);
}

void add_basic(std::vector<CpuidEntry>& list, std::uint32_t leaf) {
  switch (leaf) {
    case 0:
      return add(list, {.function = 0,
                        .eax = kLastLeaf,
                        .ebx = 0x756e'6547,
                        .ecx = 0x6c65'746e,
                        .edx = 0x4965'6e69});  // GenuineIntel
    case 1:
      return add(list, {.function = 1,
                        .eax = 0x000c'06f2,
                        .ebx = 0x0001'0800,
                        .ecx = kLeaf1Ecx,
                        .edx = kLeaf1Edx});
    case 2:
      return add(list, {.function = 2, .eax = 0x00fe'ff01, .ebx = 0xf0});
    case 4:  // 48 KiB, 32 KiB and 2 MiB; one thread, one core
      add(list, {.function = 4, .index = 0, .eax = 0x121, .ebx = 0x02c0'003f, .ecx = 0x3f});
      add(list, {.function = 4, .index = 1, .eax = 0x122, .ebx = 0x01c0'003f, .ecx = 0x3f});
      add(list, {.function = 4, .index = 2, .eax = 0x143, .ebx = 0x03c0'003f, .ecx = 0x7ff});
      return add(list, {.function = 4, .index = 3});
    case 6:
      return add(list, {.function = 6, .eax = 4});  // ARAT
    case 7:
      return add(list, {.function = 7, .ebx = kLeaf7Ebx, .ecx = kLeaf7Ecx, .edx = kLeaf7Edx});
    case 0xd:
      add(list, {.function = 0xd, .eax = kSupportedXcr0, .ebx = kXsaveSize, .ecx = kXsaveSize});
      return add(list, {.function = 0xd, .index = 1, .eax = kLeafDEax});
    default:
      return add(list, {.function = leaf});
  }
}

void add_extended(std::vector<CpuidEntry>& list, std::uint32_t leaf) {
  CpuidEntry entry{.function = leaf};
  switch (leaf) {
    case 0x8000'0000:
      entry.eax = kLastExtended;
      break;
    case 0x8000'0001:
      entry.ecx = kExtendedEcx;
      entry.edx = kExtendedEdx;
      break;
    case 0x8000'0006:
      entry.ecx = 0x0800'7040;  // 2 MiB, 16 ways
      break;
    case 0x8000'0007:
      entry.edx = bits({8});  // the TSC's rate is constant
      break;
    case 0x8000'0008:
      entry.eax = 52 | 48U << 8U | 52U << 16U;
      break;
    default:
      break;
  }
  add(list, entry);
}

std::vector<CpuidEntry> make_supported() {
  std::vector<CpuidEntry> list;
  for (std::uint32_t leaf = 0; leaf <= kLastLeaf; ++leaf) add_basic(list, leaf);
  for (std::uint32_t leaf = 0x8000'0000; leaf <= kLastExtended; ++leaf) add_extended(list, leaf);
  list.push_back({.function = kSignature,
                  .eax = kSignature + 1,
                  .ebx = 0x4b4d'564b,
                  .ecx = 0x564b'4d56,
                  .edx = 0x4d});  // KVMKVMKVM
  // KVM_FEATURE_NOP_IO_DELAY: what needs nothing of the guest's memory.
  list.push_back({.function = kSignature + 1, .eax = bits({1})});
  return list;
}

}  // namespace

std::span<const CpuidEntry> supported_cpuid() {
  static const std::vector<CpuidEntry> kList = make_supported();
  return kList;
}

std::span<const CpuidEntry> emulated_cpuid() {
  // MOVBE; leaf 7 without RDPID, which needs a host with RDTSCP.
  static const std::vector<CpuidEntry> kList = {
      {.function = 0, .eax = 7},
      {.function = 1, .ecx = bits({22})},
      {.function = 7, .flags = kSignificantIndex},
  };
  return kList;
}

}  // namespace teeio::kvm::x86
