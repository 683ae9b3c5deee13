#include "run/abandon.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "schedule/raw_lock.h"

namespace teeio::run {
namespace {

schedule::RawLock g_lock;
std::string g_directory;  // under g_lock

/// Every child of this process, whichever of its threads is the parent.
void kill_children() {
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) (void)::kill(child, SIGKILL);
  }
}

}  // namespace

void remove_when_abandoned(std::string directory) {
  const schedule::RawLockGuard guard(g_lock);
  g_directory = std::move(directory);
}

void abandon() {
  // The orphans of who dies are our children before it can be reaped.
  do kill_children();
  while (::waitpid(-1, nullptr, __WALL) > 0);
  const schedule::RawLockGuard guard(g_lock);
  std::error_code ignored;
  if (!g_directory.empty()) std::filesystem::remove_all(g_directory, ignored);
}

}  // namespace teeio::run
