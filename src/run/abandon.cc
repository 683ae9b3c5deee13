#include "run/abandon.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "schedule/raw_lock.h"

namespace teeio::run {
namespace {

schedule::RawLock g_lock;
std::string g_directory;  // under g_lock

/// The parent of process `pid` (proc_pid_stat(5)): the second field behind the name,
/// which is in parentheses and may have some itself.
pid_t parent_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string stat;
  std::getline(file, stat);
  const std::size_t name_end = stat.rfind(')');
  pid_t parent = 0;
  if (name_end != std::string::npos)
    (void)std::sscanf(stat.c_str() + name_end, ") %*c %d", &parent);
  return parent;
}

/// Every child of this process, whichever of its threads is the parent. Not every
/// kernel has /proc/PID/task/TID/children.
void kill_children() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (parent_of(name) == ::getpid()) (void)::kill(std::stoi(name), SIGKILL);
  }
}

/// Who dies leaves its children to us, and may be reaped by us or by the thread that
/// waits for the program: a wait without an end would miss the ones it left.
void end_descendants() {
  constexpr int kPauseMs = 1;
  for (;;) {
    kill_children();
    const pid_t ended = ::waitpid(-1, nullptr, __WALL | WNOHANG);
    if (ended < 0 && errno == ECHILD) return;
    if (ended == 0) (void)::poll(nullptr, 0, kPauseMs);
  }
}

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
