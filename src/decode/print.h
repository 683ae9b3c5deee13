#pragma once

#include <string>

#include "decode/message.h"

namespace teeio::decode {

/// How a message looks on a terminal: one line, or with each field on a line of
/// its own and nothing cut off.
enum class Detail : std::uint8_t { kLine, kFields };

/// With an end of line. `start_ns`: the time of the first packet.
[[nodiscard]] std::string to_text(const Message& message, std::uint64_t start_ns, Detail detail);
/// One JSON object on one line, with an end of line.
[[nodiscard]] std::string to_json(const Message& message);

}  // namespace teeio::decode
