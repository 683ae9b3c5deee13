#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "device/dsm_spdm.h"
#include "device/tee_card.h"
#include "machine/config.h"
#include "object/trace.h"

namespace teeio::machine {

/// How a card is made that is not a machine's alone.
struct CardUse {
  device::DsmSpdm spdm{};
  bool bars_move = false;
  /// Namespaces are opened. Without, an NVMe card has none: nobody moves data.
  bool storage = true;
};

/// The card of that model. Errors: those of nvme::NameSpace::open() and in_memory().
/// Precondition: card.is_tee_io(), of a configuration that was checked.
[[nodiscard]] Result<std::unique_ptr<device::TeeCard>> make_tee_card(object::Trace& trace,
                                                                     const CardConfig& card,
                                                                     const CardUse& use);

/// The first namespace whose file cannot be used, ready to print, with the place in the machine's
/// file if it was read from one; empty: there is none. Says
/// by name what an error of make_tee_card() cannot.
[[nodiscard]] std::string storage_problem(const Config& config);

}  // namespace teeio::machine
