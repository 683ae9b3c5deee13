#pragma once

#include <cstdint>
#include <optional>

#include "spdm/settings.h"

namespace teeio::spdm {

/// Whether a requester's flags may stand together in `version`. A responder
/// answers InvalidRequest otherwise. Source: DSP0274 1.2 and 1.3, table "Flag
/// fields definitions for the Requester".
[[nodiscard]] bool requester_flags_agree(std::uint32_t flags, std::uint8_t version);
/// The same of a responder's.
[[nodiscard]] bool responder_flags_agree(std::uint32_t flags, std::uint8_t version);

/// Whether a peer's DataTransferSize and MaxSPDMmsgSize may stand together (1.2).
[[nodiscard]] bool sizes_agree(std::uint32_t data_transfer_size, std::uint32_t max_message_size,
                               std::uint32_t flags);

/// What an end with these settings sends as MaxSPDMmsgSize: without chunks a
/// message is no larger than a transfer.
[[nodiscard]] std::uint32_t offered_max_message_size(const Settings& settings, std::uint32_t flags);

/// The flags of everything that needs a session, in the requester's and the
/// responder's table alike.
[[nodiscard]] std::uint32_t session_flags();

/// The bit of `ours` to choose: the highest that `theirs` has too; 0 for none.
[[nodiscard]] std::uint32_t choose_bit(std::uint32_t ours, std::uint32_t theirs);

}  // namespace teeio::spdm
