#include "run/mapped_files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/types.h"
#include "run/numbered_entries.h"
#include "run/sys.h"
#include "schedule/mutex.h"

namespace teeio::run {
namespace {

/// What has its inode number for itself: on btrfs two files may have all that a mapping shows.
bool is_in_memory(const Fd& fd) {
  struct statfs info{};
  return ::fstatfs(fd.get(), &info) == 0 &&
         (info.f_type == TMPFS_MAGIC || info.f_type == HUGETLBFS_MAGIC);
}

/// What a mapping of it shows: on btrfs and overlayfs another device than the file has.
bool shows(const Fd& fd, const MapsLine& line) {
  void* const page = ::mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) return false;
  const auto at = reinterpret_cast<std::uint64_t>(page);
  const auto own = read_maps(::getpid(), at, at + kPageSize);
  (void)::munmap(page, kPageSize);
  return own.size() == 1 && own[0].device == line.device && own[0].inode == line.inode;
}

/// Each file system in memory numbers its files from 1 on.
bool is_file_of(const Fd& fd, const MapsLine& line) {
  struct stat info{};
  if (!fd.ok() || ::fstat(fd.get(), &info) != 0 || info.st_ino != line.inode) return false;
  return info.st_dev == line.device || (major(info.st_dev) == 0 && shows(fd, line));
}

Fd open_file_of(pid_t tid, const MapsLine& line, int flags) {
  char name[64];
  std::snprintf(name, sizeof(name), "map_files/%lx-%lx", line.start, line.end);
  Fd fd(::open(proc_path(tid, name).c_str(), flags));
  if (is_file_of(fd, line)) return fd;
  const std::string descriptors = proc_path(tid, "fd");
  for (const int number : numbered_entries(descriptors)) {
    const std::string path = descriptors + "/" + std::to_string(number);
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0 || info.st_ino != line.inode) continue;
    fd = Fd(::open(path.c_str(), flags));
    if (is_file_of(fd, line)) return fd;
  }
  for (const MapsLine& named : read_maps(tid, line.start, line.end)) {
    fd = Fd(::open(named.path.c_str(), flags));
    if (is_file_of(fd, line)) return fd;
  }
  return {};
}

/// The files that somebody holds.
class OpenFiles {
 public:
  using File = std::shared_ptr<const Fd>;
  using Key = std::tuple<dev_t, ino_t, mm::Access>;

  File find(const Key& key) {
    const schedule::Lock lock(mutex_);
    const auto at = files_.find(key);
    return at == files_.end() ? nullptr : at->second.lock();
  }
  void add(const Key& key, const File& file) {
    const schedule::Lock lock(mutex_);
    std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
    files_[key] = file;
  }

 private:
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<Key, std::weak_ptr<const Fd>> files_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace

MappedFile mapped_file(pid_t tid, const MapsLine& line, mm::Access access) {
  static OpenFiles files;
  const OpenFiles::Key key{line.device, line.inode, access};
  if (auto known = files.find(key)) return {.file = std::move(known), .is_kept = true};
  const int mode = access == mm::Access::kReadWrite ? O_RDWR : O_RDONLY;
  Fd opened = open_file_of(tid, line, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (!opened.ok()) return {};
  const bool is_kept = is_in_memory(opened);
  auto file = std::make_shared<const Fd>(std::move(opened));
  if (is_kept) files.add(key, file);
  return {.file = std::move(file), .is_kept = is_kept};
}

}  // namespace teeio::run
