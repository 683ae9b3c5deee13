#pragma once

#include <cstdint>
#include <expected>

#include "base/types.h"
#include "hw/cpu.h"

namespace teeio::guest {

/// What of a vCPU's control registers decides how an address is translated.
struct PagingState {
  bool enabled = false;        ///< CR0.PG
  bool pae = false;            ///< CR4.PAE
  bool long_mode = false;      ///< EFER.LMA
  bool write_protect = false;  ///< CR0.WP
  bool no_execute = false;     ///< EFER.NXE
  bool large_pages = false;    ///< CR4.PSE
  std::uint64_t cr3 = 0;
  hw::Pdptrs pdptrs{};            ///< of PAE paging
  std::uint64_t private_bit = 0;  ///< set in addresses of tables and code: hw::Cpu
};

/// Where a linear address leads, when the guest's own tables allow the access.
struct Translation {
  Gpa page;
};

/// Why a walk ended early.
struct WalkStop {
  enum class Kind : std::uint8_t {
    kPageFault,  ///< the guest's tables refuse: #PF
    kNotCanonical,
    kNoMapping,  ///< a table lies where the VM has no mapping: an EPT violation at `gpa`
  };
  Kind kind;
  Gpa gpa{0};
  hw::GuestAccess access = hw::GuestAccess::kRead;
};

/// Walks the guest's page tables, entry by entry, through `memory`; sets the
/// accessed bits and, for a write, the dirty bit. Addresses in entries are bits
/// 51:12, so a TD's shared bit (47) and an SNP guest's private bit (51) pass to
/// `memory` as they are. One privilege level: the user bit is not looked at.
/// Source: Intel SDM vol. 3, 4.3 (32-bit), 4.4 (PAE), 4.5 (4-level paging).
///
/// PAE's uppermost level is not in memory but in `paging.pdptrs`.
std::expected<Translation, WalkStop> walk(hw::GuestMemory& memory, const PagingState& paging,
                                          std::uint64_t linear, hw::GuestAccess access);

/// The upper four entries of PAE paging, from where CR3 says. kPageFault: an entry has a
/// reserved bit set. Source: Intel SDM vol. 3, 4.4.1.
std::expected<hw::Pdptrs, WalkStop> load_pdptrs(hw::GuestMemory& memory, const PagingState& paging);

}  // namespace teeio::guest
