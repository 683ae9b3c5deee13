#include "run/open_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <string>

#include "run/process_maps.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// Calls `visit` with every entry of `path` that is a number.
template <class Visit>
void for_each_number(const std::string& path, Visit visit) {
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
  if (!dir) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    int number = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, number).ptr == end) visit(number);
  }
}

}  // namespace

OpenScan::OpenScan(dev_t device) {
  for_each_number("/proc", [&](int pid) {
    if (pid != ::getpid()) scan_process(pid, device);
  });
}

void OpenScan::scan_process(pid_t pid, dev_t device) {
  const std::string fds = proc_path(pid, "fd");
  for_each_number(fds, [&](int fd) {
    struct stat info{};
    const std::string path = fds + "/" + std::to_string(fd);
    if (::stat(path.c_str(), &info) == 0 && info.st_dev == device) inodes_.insert(info.st_ino);
  });
  for (const MapsLine& line : read_maps(pid))
    if (line.device == device) inodes_.insert(line.inode);
}

}  // namespace teeio::run
