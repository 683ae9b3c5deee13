#include "cli/print.h"

#include <filesystem>
#include <system_error>

namespace teeio::cli {
namespace {

/// The file that a name means, whether it is there or not yet.
std::filesystem::path file_of(const std::string& name) {
  std::error_code failed;
  // A relative path of which nothing is there yet would stay relative.
  auto path = std::filesystem::weakly_canonical(std::filesystem::absolute(name, failed), failed);
  return failed || path.empty() ? std::filesystem::path(name) : path;
}

/// Nothing is lost where two write there. /dev/shm has files like any other folder.
bool is_device(const std::string& name) {
  return name == "-" || (name.starts_with("/dev/") && !name.starts_with("/dev/shm/"));
}

bool g_words_to_stderr = false;  // of the one thread that prints

}  // namespace

bool same_file(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;  // an option that was not given
  return a == b || file_of(a) == file_of(b);
}

std::string why_equal_files(const std::vector<FileOption>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string& name = files[i].file;
    if (name.empty() || is_device(name)) continue;
    for (std::size_t other = 0; other < i; ++other)
      if (same_file(files[other].file, name))
        return files[other].option == files[i].option
                   ? fmt::format("{} names {} twice", files[i].option, name)
                   : fmt::format("{} and {} both name {}", files[other].option, files[i].option,
                                 name);
  }
  return {};
}

std::string why_over_input(const std::vector<FileOption>& inputs,
                           const std::vector<FileOption>& outputs) {
  for (const auto& [option, file] : outputs)
    for (const FileOption& input : inputs)
      if (!is_device(file) && same_file(input.file, file))
        return fmt::format("{} would be written over {}: both are {}", option, input.option, file);
  return {};
}

std::string leave_standard_output(const std::vector<FileOption>& files) {
  if (std::string why = why_equal_files(files); !why.empty()) return why;
  const FileOption* owner = nullptr;
  for (const FileOption& file : files) {
    if (file.file != "-") continue;
    if (owner != nullptr)
      return fmt::format("{} and {} cannot both be standard output", owner->option, file.option);
    owner = &file;
  }
  g_words_to_stderr = owner != nullptr;
  return {};
}

void print_words(const std::string& text) {
  if (g_words_to_stderr)
    complain_text(text);
  else
    print_text(text);
}

}  // namespace teeio::cli
