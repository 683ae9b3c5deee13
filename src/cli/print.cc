#include "cli/print.h"

namespace teeio::cli {
namespace {

bool g_words_to_stderr = false;  // of the one thread that prints

}  // namespace

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
