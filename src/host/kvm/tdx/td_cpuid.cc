#include <algorithm>
#include <vector>

#include "host/kvm/tdx/tdx_vm.h"

// CPUID of a TD. Source: TDX module base specification, "CPUID Virtualization": leaf 0x21
// says that it is one; the hypervisor's own leaves are no leaves of the module's.

namespace teeio::kvm {
namespace {

constexpr std::uint32_t kTdxLeaf = 0x21;
constexpr std::uint32_t kHypervisorLeaves = 0x4000'0000;

std::vector<x86::CpuidEntry> make() {
  std::vector<x86::CpuidEntry> list;
  for (x86::CpuidEntry entry : x86::supported_cpuid()) {
    if (entry.function >= kHypervisorLeaves && entry.function < 0x8000'0000) continue;
    if (entry.function == 0) entry.eax = kTdxLeaf;
    list.push_back(entry);
  }
  const auto extended = std::ranges::find_if(
      list, [](const x86::CpuidEntry& entry) { return entry.function >= 0x8000'0000; });
  list.insert(extended, {{.function = 0x20, .flags = x86::kSignificantIndex},
                         {.function = kTdxLeaf,
                          .flags = x86::kSignificantIndex,
                          .ebx = 0x65746e49,  // "IntelTDX    "
                          .ecx = 0x20202020,
                          .edx = 0x5844546c}});
  return list;
}

}  // namespace

std::span<const x86::CpuidEntry> td_cpuid() {
  static const std::vector<x86::CpuidEntry> kList = make();
  return kList;
}

/// A leaf that the module does not have is #VE in a TD, which the engine does not deliver:
/// zeros, as from a guest's handler that knows of no such leaf.
std::optional<x86::CpuidEntry> TdxVm::guest_cpuid(std::uint32_t function,
                                                  std::uint32_t index) const {
  const x86::CpuidEntry* entry = x86::find_cpuid(td_cpuid(), function, index);
  return entry != nullptr ? *entry : x86::CpuidEntry{};
}

}  // namespace teeio::kvm
