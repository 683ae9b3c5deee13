#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "firmware/tdx/state.h"
#include "wire/tdisp_messages.h"

namespace teeio::tdx {

/// The message of a request, as it is at this moment: START has the nonce of the lock
/// that the module knows now. nullopt: no more of the report is left under this lock.
/// Source: tdxio branch, src/common/tdxio/tdisp.c, assign_tdisp_header().
std::optional<Bytes> request_message(const Devif& devif, const Td& td, FunctionId function,
                                     DevifRequest code, bool no_fw_update = false);

/// The message, if it has the header of an answer of `function`.
/// Source: tdisp.c, is_valid_tdisp_header().
std::optional<wire::TdispMessage> answer_of(FunctionId function, ByteView message);

/// What an authenticated answer does to the interface that the module knows: the only
/// thing that moves its TDI state. It need not be the answer to what was asked. Gives RCX
/// for whoever takes it. Errors: INVALID_MESSAGE for no answer of these leaves and for a
/// report that is too short, DEVIF_INVALID_TDI_CONFIGURATION for a report of what trusted
/// devices may not have. Source: tdisp.c, tdisp_process_response().
std::expected<std::uint64_t, Code> apply_answer(State& s, FunctionId function, Devif& devif,
                                                const wire::TdispBody& answer);

}  // namespace teeio::tdx
