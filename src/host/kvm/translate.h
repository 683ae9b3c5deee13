#pragma once

#include <cstdint>
#include <optional>

#include "base/types.h"
#include "host/mm/user_memory.h"
#include "hw/cpu.h"

namespace teeio::kvm {

class Vm;

/// The registers that decide how a guest's linear addresses are translated.
struct GuestPaging {
  std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
  std::optional<hw::Pdptrs> pdptrs = {};  ///< of PAE paging, as the vCPU has them
  /// is_pae_paging()
  [[nodiscard]] bool pae() const;
};

/// load_pdptrs(): what CR3 leads to, read where the program has the memslots. nullopt: nothing is
/// there, or an entry has a reserved bit: of those above the vCPU's physical addresses, too.
std::optional<hw::Pdptrs> load_pdptrs(Vm& vm, mm::UserMemory& memory, std::uint64_t cr3,
                                      std::uint64_t reserved_gpa_bits);

/// Where a linear address leads by the guest's own tables, which are read where the program has
/// the memslots; nobody's rights are asked for, and accessed bits are set. nullopt: nowhere.
/// Source: Linux arch/x86/kvm/mmu/paging_tmpl.h, walk_addr_generic(), for
/// kvm_mmu_gva_to_gpa_system(); a large page's reserved bits and PSE-36 are not looked at.
std::optional<Gpa> translate(Vm& vm, mm::UserMemory& memory, const GuestPaging& paging,
                             std::uint64_t linear);

}  // namespace teeio::kvm
