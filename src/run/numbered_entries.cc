#include "run/numbered_entries.h"

#include <dirent.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace teeio::run {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

std::vector<int> numbered_entries(const std::string& path) {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
  if (!dir) return numbers;
  while (const dirent* entry = ::readdir(dir.get())) {
    int number = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    const auto [stop, error] = std::from_chars(entry->d_name, end, number);
    if (error == std::errc{} && stop == end) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace teeio::run
