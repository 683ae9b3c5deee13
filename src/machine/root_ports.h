#pragma once

#include <memory>

#include "hw/root_port.h"
#include "machine/config.h"
#include "object/trace.h"

namespace teeio::machine {

/// A root port as its machine file describes it.
[[nodiscard]] std::unique_ptr<hw::RootPort> make_root_port(object::Trace& trace,
                                                           const RootPortConfig& port);

}  // namespace teeio::machine
