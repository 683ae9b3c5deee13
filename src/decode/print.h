#pragma once

#include <cstdint>

#include "decode/message.h"
#include "decode/text.h"

namespace teeio::decode {

/// How a message looks on a terminal: one line, or with each field on a line of
/// its own and nothing cut off.
enum class Detail : std::uint8_t { kLine, kFields };

/// At the end of `out`, with an end of line. `start_ns`: the time of the first packet.
void append_text(Text& out, const Message& message, std::uint64_t start_ns, Detail detail);
/// One JSON object on one line, with an end of line, at the end of `out`. Of fields that have
/// one name the last counts, in the place of the first.
void append_json(Text& out, const Message& message);

}  // namespace teeio::decode
