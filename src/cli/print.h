#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace teeio::cli {

/// An option and the file that it was given; empty: none.
struct FileOption {
  std::string_view option;
  const std::string& file;
};

/// Whether two names, of files that may not be there yet, lead to one file.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

/// What is wrong where two of the files are the same: the second would write over the first.
/// Devices may be given twice. Empty if nothing is.
[[nodiscard]] std::string why_equal_files(const std::vector<FileOption>& files);

/// What is wrong where an output is a file that is read. Empty if nothing is.
[[nodiscard]] std::string why_over_input(const std::vector<FileOption>& inputs,
                                         const std::vector<FileOption>& outputs);

/// If one of the files is "-", standard output is that file's alone, and what print() has
/// goes to standard error. Gives what is wrong with two of them (also why_equal_files());
/// else nothing.
[[nodiscard]] std::string leave_standard_output(const std::vector<FileOption>& files);

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
