#include "run/plain_text.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace teeio::run {
namespace {

constexpr auto kFirst =
    std::to_array<std::uint32_t>({SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access,
                                  SYS_readlink, SYS_chdir, SYS_truncate, SYS_statfs});
constexpr auto kSecond =
    std::to_array<std::uint32_t>({SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_faccessat,
                                  439 /* faccessat2 */, SYS_readlinkat, SYS_inotify_add_watch});
/// What the program does to itself, or to numbers of which some may be ours.
constexpr auto kWithoutLine = std::to_array<std::uint32_t>(
    {SYS_close_range, SYS_dup2, SYS_dup3, SYS_eventfd, SYS_eventfd2, SYS_unshare, SYS_setns});

std::string file_text(Call& call, int fd) {
  const DeviceFileRef file = call.ours(fd);
  return file ? std::to_string(fd) + "<" + file->name + ">" : std::to_string(fd);
}

}  // namespace

std::optional<unsigned> path_argument(const Row& row) {
  if (row.path >= 0) return static_cast<unsigned>(row.path);
  if (std::ranges::find(kFirst, row.number) != kFirst.end()) return 0;
  if (std::ranges::find(kSecond, row.number) != kSecond.end()) return 1;
  return std::nullopt;
}

bool has_line(const Row& row) {
  return row.answer != nullptr && std::ranges::find(kWithoutLine, row.number) == kWithoutLine.end();
}

std::string plain_text(Call& call, const Row& row) {
  if (!has_line(row)) return {};
  std::string text = std::string(row.name) + "(";
  if (row.number == SYS_getcwd) return text + ")";
  if (const auto argument = path_argument(row)) {
    const auto path = call.memory().read_path(call.arg(*argument));
    if (path && !path->empty()) return text + "\"" + *path + "\")";
  }
  return text + file_text(call, call.int_arg(0)) + ")";  // a descriptor alone, AT_EMPTY_PATH
}

}  // namespace teeio::run
