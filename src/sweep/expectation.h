#pragma once

#include <cstdint>
#include <string>

namespace teeio::sweep {

/// Asks `command`, by sh(1), whether a run will do. It finds TEEIO_INJECT, TEEIO_STATUS and
/// TEEIO_OUTPUT (a file beside `directory`) in its environment. Gives "" if it exits with 0
/// within `time_ms`, else what it said last, or how it ended.
[[nodiscard]] std::string ask(const std::string& command, const std::string& spec, int status,
                              const std::string& output, const std::string& directory,
                              std::uint64_t time_ms);

}  // namespace teeio::sweep
