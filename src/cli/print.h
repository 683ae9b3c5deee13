#pragma once

#include <fmt/format.h>

#include <utility>

#include "base/files.h"

namespace teeio::cli {

/// Prints on standard output. What does not arrive makes the exit status
/// kUsageError, see main.cc; nothing is thrown.
template <class... Args>
void print(fmt::format_string<Args...> text, Args&&... args) {
  print_text(fmt::format(text, std::forward<Args>(args)...));
}

/// Prints on standard error; a user who closed it is not told.
template <class... Args>
void complain(fmt::format_string<Args...> text, Args&&... args) {
  complain_text(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace teeio::cli
