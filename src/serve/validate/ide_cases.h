#pragma once

#include <expected>
#include <optional>
#include <string_view>

#include "serve/validate/bench.h"
#include "serve/validate/case.h"
#include "wire/ide_registers.h"

namespace teeio::serve::validate {

// Cases of the ide_km suite that look at the stream's status in the registers that QUERY_RESP
// has; skipped where it has none.
Verdict registers_go(Bench& bench);
Verdict registers_half(Bench& bench);
Verdict registers_switch(Bench& bench);
Verdict registers_stop(Bench& bench);

/// The IDE capability as QUERY_RESP of the target's port has it; a skip where it has none.
std::expected<wire::IdeRegisters, Verdict> shown_registers(const Bench& bench, Session& session);
/// The status of the enabled link or selective stream with this ID; nullopt: there is none.
std::optional<std::uint32_t> status_of(const wire::IdeRegisters& registers, std::uint8_t stream);

/// Whether the target's stream is Secure in its registers, or is not, as the case wants; a skip
/// where QUERY_RESP does not show it. `when`: the end of the sentence.
Verdict shows_secure(const Bench& bench, Session& session, bool secure, std::string_view when);

// Configurations of a selective stream, each if the IDE capability has it: written where registers
// can be (--pci), else looked for among the streams that QUERY_RESP shows.
Verdict config_header_encryption(Bench& bench);
Verdict config_aggregation(Bench& bench);
Verdict config_pcrc(Bench& bench);
Verdict config_requests(Bench& bench);
Verdict config_tee_limited(Bench& bench);
// The same of link streams, and of one of each kind at once.
Verdict link_plain(Bench& bench);
Verdict link_header_encryption(Bench& bench);
Verdict link_aggregation(Bench& bench);
Verdict link_pcrc(Bench& bench);
Verdict link_and_selective(Bench& bench);

}  // namespace teeio::serve::validate
