#include "sweep/workspace.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace teeio::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = "teeio-sweep.";
constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

void remove(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

/// Whether the folder is still where it was made: it may have been taken for a dead one
/// before its lock was held.
bool is_there(const Fd& folder) {
  struct stat info{};
  return ::fstat(folder.get(), &info) == 0 && info.st_nlink != 0;
}

void remove_if_dead(const std::string& path) {
  const Fd folder(::open(path.c_str(), kFolder));
  struct stat info{};
  if (!folder.ok() || ::fstat(folder.get(), &info) != 0 || info.st_uid != ::geteuid()) return;
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) remove(path);
}

void remove_dead(const std::string& parent) {
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error))
    if (at->path().filename().string().starts_with(kName)) remove_if_dead(at->path().string());
}

}  // namespace

Workspace::Workspace() {
  const char* const given = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe)
  const std::string parent = given == nullptr || *given == '\0' ? "/tmp" : given;
  remove_dead(parent);
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    std::string path = parent + '/' + std::string(kName) + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return;
    Fd folder(::open(path.c_str(), kFolder));
    if (!folder.ok() || ::flock(folder.get(), LOCK_EX) != 0 || !is_there(folder)) continue;
    lock_ = std::move(folder);
    path_ = std::move(path);
    return;
  }
}

Workspace::~Workspace() {
  if (!path_.empty()) remove(path_);
}

}  // namespace teeio::sweep
