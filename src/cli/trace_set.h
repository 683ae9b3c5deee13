#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>

namespace teeio::cli {

/// Whether `-v` has a line for a call; `ioctl` is an ioctl's name.
using TraceSet = std::function<bool(std::string_view call, std::string_view ioctl)>;

/// What strace's `-e trace=SET` says: words with commas between, all but them behind
/// a `!`. A word is a call (openat), a group (%file, %desc, %ioctl, all, none), or an
/// ioctl, also as a pattern (VFIO_*). Gives what is wrong: a word that names nothing
/// that can occur.
[[nodiscard]] std::expected<TraceSet, std::string> parse_trace_set(std::string_view text);

}  // namespace teeio::cli
