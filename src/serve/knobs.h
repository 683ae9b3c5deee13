#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spdm/settings.h"

namespace teeio::serve {

// What options of `teeio serve` say, as settings of its responders. Errors are ready to
// print: they name the word, and what there is.

/// "1.0" to "1.4"; ascending, without repetition.
[[nodiscard]] std::expected<std::vector<std::uint8_t>, std::string> parse_versions(
    const std::vector<std::string>& words);

/// "1.0" to "1.2", a byte each.
[[nodiscard]] std::expected<Bytes, std::string> parse_secured_versions(
    const std::vector<std::string>& words);

/// The other value of a flag's field, or the other way to come by a key: asking for one gives up
/// the other. 0: there is none.
[[nodiscard]] std::uint32_t excluded_by(std::uint32_t flag);

/// Flags of CAPABILITIES.
struct OfferedCapabilities {
  std::uint32_t flags = 0;     ///< of wire::SpdmCap
  std::uint16_t extended = 0;  ///< of wire::SpdmExtendedCap
};
/// Names of wire::kSpdmCapNames and kSpdmExtendedCapNames. Words with a sign change the default,
/// "-CHUNK", "+MULTI_KEY_NEG"; words without one are all that is offered. Error also for
/// capabilities that nothing here answers, and for a set that contradicts itself.
[[nodiscard]] std::expected<OfferedCapabilities, std::string> parse_capabilities(
    const std::vector<std::string>& words);

/// What becomes of SPDM 1.4's post-quantum algorithms, as far as the OpenSSL that runs has any.
enum class PostQuantum : std::uint8_t {
  kOff,    ///< not offered
  kOffer,  ///< offered; of both families the classical is taken
  kFirst,  ///< offered, and taken before the classical
  kOnly,   ///< nothing else is offered in their place
};
/// "off", "offer", "first", "only".
[[nodiscard]] std::optional<PostQuantum> post_quantum_of(std::string_view word);
/// `all` with them, or without. Where there are none it stays classical, also for kOnly.
[[nodiscard]] spdm::Algorithms with_post_quantum(spdm::Algorithms all, PostQuantum wanted);
/// Takes the names of algorithms out of `words` that only another OpenSSL has. Gives a
/// sentence for the user; empty when there is nothing to say.
[[nodiscard]] std::string leave_out_unavailable(std::vector<std::string>& words,
                                                PostQuantum wanted);

/// What a served device can do: with a chain that it was given everything, else what keys
/// of its own there are for. RSA keys take seconds to make, during which nobody would be
/// served.
[[nodiscard]] spdm::Algorithms available_algorithms(bool with_chain);

/// Names as `teeio decode` prints them: each kind of algorithm that a word names has only
/// those named; the other kinds stay as they are in `all`.
[[nodiscard]] std::expected<spdm::Algorithms, std::string> parse_algorithms(
    const spdm::Algorithms& all, const std::vector<std::string>& words);

}  // namespace teeio::serve
