#pragma once

#include <cstddef>
#include <cstdint>

#include "firmware/tdx/state.h"
#include "wire/tdisp_messages.h"

namespace teeio::tdx {

/// What an authenticated answer does to the interface that the module knows:
/// the only thing that moves its TDI state. Gives RCX for whoever takes it.
std::uint64_t apply_answer(State& s, FunctionId function, Devif& devif,
                           const wire::TdispBody& answer, std::size_t bytes);

}  // namespace teeio::tdx
