#include "cli/output_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "machine/config.h"

namespace teeio::cli {
namespace {

namespace fs = std::filesystem;

/// The file that a name means, whether it is there or not yet.
fs::path file_of(const std::string& name) {
  std::error_code failed;
  // A relative path of which nothing is there yet would stay relative.
  auto path = fs::weakly_canonical(fs::absolute(name, failed), failed);
  return failed || path.empty() ? fs::path(name) : path;
}

/// Nothing is lost where two write there, or where one writes that is read.
bool is_device(const std::string& name) {
  if (name == "-") return true;
  std::error_code failed;
  const fs::file_status status = fs::status(file_of(name), failed);
  return fs::exists(status) && !fs::is_regular_file(status);
}

}  // namespace

bool same_file(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;  // an option that was not given
  std::error_code failed;
  return a == b || file_of(a) == file_of(b) || fs::equivalent(a, b, failed);
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
      if (same_file(input.file, file) && !is_device(file))
        return fmt::format("{} would be written over {}: both are {}", option, input.option, file);
  return {};
}

std::string machine_file(const std::string& machine) {
  return machine::builtin_machine(machine).empty() ? machine : std::string();
}

std::string program_file(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  std::string_view rest = path == nullptr ? "/bin:/usr/bin" : path;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    std::string full = std::string(directory.empty() ? "." : directory) + '/' + program;
    if (::access(full.c_str(), X_OK) == 0) return full;
  }
  return {};
}

}  // namespace teeio::cli
