#pragma once

#include <source_location>
#include <string_view>

namespace teeio {

/// What happens when a TEEIO_CHECK fails. The default prints the sentence with
/// its place and aborts; the explorer installs one that records a finding and
/// abandons the schedule. Must not return.
using CheckHandler = void (*)(std::string_view what, std::source_location where);

/// Installs `handler` (nullptr: the default) and gives the one before it.
CheckHandler set_check_handler(CheckHandler handler);

[[noreturn]] void check_failed(std::string_view what,
                               std::source_location where = std::source_location::current());

}  // namespace teeio

/// States what must hold if this program is right; on in release builds too.
/// For our own bugs only: what the program, guest or device does is a Result.
#define TEEIO_CHECK(condition, sentence) \
  do {                                   \
    if (!(condition)) [[unlikely]]       \
      ::teeio::check_failed(sentence);   \
  } while (false)
