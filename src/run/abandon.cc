#include "run/abandon.h"

#include <filesystem>
#include <string>

#include "run/processes.h"
#include "schedule/raw_lock.h"

namespace teeio::run {
namespace {

schedule::RawLock g_lock;
std::string g_directory;  // under g_lock

/// Another task may be about to make a file there.
void remove_tree(const std::string& directory) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries && !directory.empty(); ++i) {
    std::error_code problem;
    std::filesystem::remove_all(directory, problem);
    if (!problem) return;
  }
}

}  // namespace

void remove_when_abandoned(std::string directory) {
  const schedule::RawLockGuard guard(g_lock);
  g_directory = std::move(directory);
}

void abandon() {
  end_descendants();
  const schedule::RawLockGuard guard(g_lock);
  remove_tree(g_directory);
}

}  // namespace teeio::run
