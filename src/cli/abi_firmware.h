#pragma once

namespace teeio::cli {

/// Prints docs/firmware/rmm.md: each command of the monitor, its checks in their order,
/// statuses and sources.
void print_rmm_page();
/// Prints docs/firmware/sev.md: each command of the secure processor, in the same way.
void print_sev_page();
/// Prints docs/firmware/tdx.md: each leaf of the TDX module, in the same way.
void print_tdx_page();

}  // namespace teeio::cli
