#include "object/fd_table.h"

namespace teeio::object {

Result<int> FdTable::install(Ref<File> file) {
  const schedule::WriteLock lock(mutex_);
  int fd = 0;
  for (const auto& [taken, unused] : files_) {
    if (taken != fd) break;
    ++fd;
  }
  if (fd >= kMaxFds) return fail(Errno::kMFile, "the descriptor table is full");
  files_.emplace(fd, std::move(file));
  return fd;
}

Result<Ref<File>> FdTable::get(int fd) {
  const schedule::ReadLock lock(mutex_);
  const auto at = files_.find(fd);
  if (at == files_.end()) return fail(Errno::kBadF, "no such descriptor");
  return at->second;
}

Result<int> FdTable::dup(int fd) {
  TEEIO_ASSIGN(Ref<File> file, get(fd));
  return install(std::move(file));
}

Result<void> FdTable::close(int fd) {
  Ref<File> file;  // dropped after the lock
  const schedule::WriteLock lock(mutex_);
  const auto at = files_.find(fd);
  if (at == files_.end()) return fail(Errno::kBadF, "no such descriptor");
  file = std::move(at->second);
  files_.erase(at);
  return {};
}

void FdTable::close_all() {
  for (;;) {
    Ref<File> file;
    const schedule::WriteLock lock(mutex_);
    if (files_.empty()) return;
    file = std::move(files_.begin()->second);
    files_.erase(files_.begin());
  }
}

}  // namespace teeio::object
