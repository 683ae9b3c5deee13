#include "run/open_scan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "run/numbered_entries.h"
#include "run/process_maps.h"
#include "run/sys.h"

namespace teeio::run {

OpenScan::OpenScan(dev_t device) {
  for (const int pid : numbered_entries("/proc"))
    if (pid != ::getpid()) scan_process(pid, device);
}

void OpenScan::scan_process(pid_t pid, dev_t device) {
  const std::string fds = proc_path(pid, "fd");
  for (const int fd : numbered_entries(fds)) {
    struct stat info{};
    const std::string path = fds + "/" + std::to_string(fd);
    if (::stat(path.c_str(), &info) == 0 && info.st_dev == device) inodes_.insert(info.st_ino);
  }
  for (const MapsLine& line : read_maps(pid))
    if (line.device == device) inodes_.insert(line.inode);
}

}  // namespace teeio::run
