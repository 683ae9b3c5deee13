#include "cli/print.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace teeio::cli {
namespace {

bool g_words_to_stderr = false;  // of the one thread that prints

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets one
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

bool is_able_terminal(int fd) {
  const std::string_view kind = variable("TERM");
  return !kind.empty() && kind != "dumb" && ::isatty(fd) != 0;
}

bool may_colour(int fd) { return variable("NO_COLOR").empty() && is_able_terminal(fd); }

bool is_standard_output(const std::string& file) {
  if (file == "-") return true;
  struct stat named{};
  struct stat ours{};
  return ::stat(file.c_str(), &named) == 0 && ::fstat(STDOUT_FILENO, &ours) == 0 &&
         !S_ISCHR(ours.st_mode) && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

std::string leave_standard_output(const std::vector<FileOption>& files) {
  if (std::string why = why_equal_files(files); !why.empty()) return why;
  const FileOption* owner = nullptr;
  for (const FileOption& file : files) {
    if (!is_standard_output(file.file)) continue;
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
