#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "cli/output_files.h"

namespace teeio::cli {

/// "-", or the name of the file or pipe that standard output is (/dev/stdout). A terminal and
/// /dev/null count by "-" alone.
[[nodiscard]] bool is_standard_output(const std::string& file);

/// If one of the files is standard output, that is the file's alone, and what print() has goes to
/// standard error. Gives what is wrong with two of them (also why_equal_files());
/// else nothing.
[[nodiscard]] std::string leave_standard_output(const std::vector<FileOption>& files);

/// Whether `fd` is a terminal on which lines can be written over: not with TERM=dumb, or without
/// TERM, where nobody knows what it does.
[[nodiscard]] bool is_able_terminal(int fd);

/// Whether what goes there may have colours: such a terminal, and no NO_COLOR (any value but the
/// empty one: https://no-color.org).
[[nodiscard]] bool may_colour(int fd);

/// Prints on standard output, or where leave_standard_output() says.
void print_words(const std::string& text);

/// What does not arrive on standard output makes the exit status kUsageError, see main.cc;
/// nothing is thrown.
template <class... Args>
void print(fmt::format_string<Args...> text, Args&&... args) {
  print_words(fmt::format(text, std::forward<Args>(args)...));
}

/// Prints on standard error; a user who closed it is not told.
template <class... Args>
void complain(fmt::format_string<Args...> text, Args&&... args) {
  complain_text(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace teeio::cli
