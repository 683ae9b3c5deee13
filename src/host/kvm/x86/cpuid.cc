#include "host/kvm/x86/cpuid.h"

#include <algorithm>
#include <utility>

namespace teeio::kvm::x86 {
namespace {

constexpr unsigned kApicBit = 9;      // CPUID.1:EDX
constexpr unsigned kOsxsaveBit = 27;  // CPUID.1:ECX

std::uint32_t register_of(const CpuidEntry& entry, CpuidRegister reg) {
  switch (reg) {
    case CpuidRegister::kEax:
      return entry.eax;
    case CpuidRegister::kEbx:
      return entry.ebx;
    case CpuidRegister::kEcx:
      return entry.ecx;
    case CpuidRegister::kEdx:
      return entry.edx;
  }
  std::unreachable();
}

bool bit_of(std::span<const CpuidEntry> entries, const Feature& feature) {
  const CpuidEntry* entry = find_cpuid(entries, feature.function, 0);
  return entry != nullptr && ((register_of(*entry, feature.reg) >> feature.bit) & 1U) != 0;
}

std::uint32_t with_bit(std::uint32_t value, unsigned bit, bool on) {
  return (value & ~(1U << bit)) | (on ? 1U << bit : 0U);
}

/// kvm_check_cpuid().
Result<void> check(std::span<const CpuidEntry> entries) {
  if (const CpuidEntry* sizes = find_cpuid(entries, 0x8000'0008, 0); sizes != nullptr) {
    const std::uint32_t linear = (sizes->eax >> 8U) & 0xffU;
    if (linear != 48 && linear != 57 && linear != 0)
      return fail(Errno::kInval, "CPUID has linear addresses of neither 48 nor 57 bits");
  }
  constexpr std::uint32_t kTileData = 1U << 18U;  // XFEATURE_MASK_USER_DYNAMIC
  const CpuidEntry* state = find_cpuid(entries, 0xd, 0);
  if (state != nullptr && (state->eax & kTileData) != 0)
    return fail(Errno::kPerm, "the process has no permission for the state component");
  return {};
}

}  // namespace

const CpuidEntry* find_cpuid(std::span<const CpuidEntry> entries, std::uint32_t function,
                             std::uint32_t index) {
  const auto at = std::ranges::find_if(entries, [&](const CpuidEntry& entry) {
    return entry.function == function &&
           ((entry.flags & kSignificantIndex) == 0 || entry.index == index);
  });
  return at == entries.end() ? nullptr : &*at;
}

Result<void> Cpuid::set(std::vector<CpuidEntry> entries, const CpuidDynamic& dynamic) {
  apply(entries, dynamic);
  if (frozen_) {
    // kvm_cpuid_check_equal(): the flags of an entry count, its padding does not.
    const auto same = [](const CpuidEntry& a, const CpuidEntry& b) {
      return a.function == b.function && a.index == b.index && a.flags == b.flags &&
             a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
    };
    if (!std::ranges::equal(entries, entries_, same))
      return fail(Errno::kInval, "the model of a vCPU that has run cannot change");
    return {};
  }
  TEEIO_TRY(check(entries));
  entries_ = std::move(entries);
  return {};
}

/// kvm_update_cpuid_runtime().
void Cpuid::apply(std::vector<CpuidEntry>& entries, const CpuidDynamic& dynamic) {
  constexpr std::uint32_t kXsaveBytes = 0x240;  // of x87 and SSE with the header
  for (CpuidEntry& entry : entries) {
    if (entry.function != 0xd || ((entry.flags & kSignificantIndex) != 0 && entry.index != 0))
      continue;
    entry.ebx = kXsaveBytes;
    break;
  }
  for (CpuidEntry& entry : entries) {
    if (entry.function != 1) continue;
    if (((entry.ecx >> kXsave.bit) & 1U) != 0)
      entry.ecx = with_bit(entry.ecx, kOsxsaveBit, dynamic.osxsave);
    entry.edx = with_bit(entry.edx, kApicBit, dynamic.apic_enabled);
    break;
  }
}

bool Cpuid::has(const Feature& feature) const {
  return bit_of(entries_, feature) && bit_of(supported_cpuid(), feature);
}

CpuidEntry Cpuid::answer(std::uint32_t function, std::uint32_t index) const {
  const CpuidEntry* entry = find_cpuid(entries_, function, index);
  return entry != nullptr ? *entry : CpuidEntry{};
}

unsigned Cpuid::physical_bits() const {
  constexpr unsigned kWithoutLeaf = 36;
  const CpuidEntry* last = find_cpuid(entries_, 0x8000'0000, 0);
  if (last == nullptr || last->eax < 0x8000'0008) return kWithoutLeaf;
  const CpuidEntry* sizes = find_cpuid(entries_, 0x8000'0008, 0);
  return sizes != nullptr ? sizes->eax & 0xffU : kWithoutLeaf;
}

std::uint64_t Cpuid::reserved_gpa_bits() const {
  const unsigned width = physical_bits();
  return width >= 64 ? 0 : ~std::uint64_t{0} << width;
}

std::uint64_t Cpuid::cr4_bits() const {
  // VME to OSXMMEXCPT, less VMXE and what CPUID must give first.
  std::uint64_t allowed = 0x7ff;
  const auto when = [&](const Feature& feature, unsigned bit) {
    if (has(feature)) allowed |= 1ULL << bit;
  };
  when(kUmip, 11);
  when(kFsgsbase, 16);
  when(kPcid, 17);
  when(kXsave, 18);
  when(kSmep, 20);
  when(kSmap, 21);
  return allowed;
}

std::uint64_t Cpuid::xcr0_bits() const {
  const CpuidEntry* state = find_cpuid(entries_, 0xd, 0);
  if (state == nullptr) return 0;
  return (state->eax | std::uint64_t{state->edx} << 32U) & kSupportedXcr0;
}

}  // namespace teeio::kvm::x86
