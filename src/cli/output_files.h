#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace teeio::cli {

/// An option and the file that it was given; empty: none.
struct FileOption {
  std::string_view option;
  const std::string& file;
};

/// Whether two names, of files that may not be there yet, lead to one file.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

/// What is wrong where two of the files are the same: the second would write over the first.
/// What is there and no regular file, as a device or a pipe, may be given twice. Empty if
/// nothing is.
[[nodiscard]] std::string why_equal_files(const std::vector<FileOption>& files);

/// What is wrong where an output is a file that is read. Empty if nothing is.
[[nodiscard]] std::string why_over_input(const std::vector<FileOption>& inputs,
                                         const std::vector<FileOption>& outputs);

/// The file that --machine names; empty: none, or a machine that is built in.
[[nodiscard]] std::string machine_file(const std::string& machine);

/// Where execvp(3) finds the program; empty if it does not.
[[nodiscard]] std::string program_file(const std::string& program);

}  // namespace teeio::cli
