#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "spdm/settings.h"

namespace teeio::serve {

// What options of `teeio serve` say, as settings of its responders. Errors are ready to
// print: they name the word, and what there is.

/// "1.0" to "1.4"; ascending, without repetition.
[[nodiscard]] std::expected<std::vector<std::uint8_t>, std::string> parse_versions(
    const std::vector<std::string>& words);

/// Names of wire::kSpdmCapNames. Words with a sign change the default, "-CHUNK", "+MULTI_KEY_NEG";
/// words without one are all that is offered. Error also for capabilities that nothing
/// here answers, and for a set that contradicts itself.
[[nodiscard]] std::expected<std::uint32_t, std::string> parse_capabilities(
    const std::vector<std::string>& words);

/// What a served device can do: with a chain that it was given everything, else what keys
/// of its own there are for. RSA keys take seconds to make, during which nobody would be
/// served.
[[nodiscard]] spdm::Algorithms available_algorithms(bool with_chain);

/// Names as `teeio decode` prints them: each kind of algorithm that a word names has only
/// those named; the other kinds stay as they are in `all`.
[[nodiscard]] std::expected<spdm::Algorithms, std::string> parse_algorithms(
    const spdm::Algorithms& all, const std::vector<std::string>& words);

}  // namespace teeio::serve
