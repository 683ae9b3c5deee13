#include "run/device_files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "run/open_scan.h"
#include "run/sys.h"

namespace teeio::run {

namespace {

/// What a run puts there: an inode for each file of /sys that is looked at, pages of BARs. Where
/// a page has no room any more its program dies of SIGBUS, and nobody could say why. A count of
/// blocks or inodes of 0 is a tmpfs without that limit.
bool has_room(const struct statfs& info) {
  constexpr std::uint64_t kLeastBytes = std::uint64_t{1} << 20U, kLeastFiles = 1024;
  const auto block = static_cast<std::uint64_t>(info.f_bsize);
  return (info.f_blocks == 0 || info.f_bavail * block >= kLeastBytes) &&
         (info.f_files == 0 || info.f_ffree >= kLeastFiles);
}

}  // namespace

std::string find_tmpfs() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  for (const char* path : {"/dev/shm", runtime, "/tmp", "/run", "/var/tmp"}) {
    struct statfs info{};
    if (path == nullptr || ::statfs(path, &info) != 0 || info.f_type != TMPFS_MAGIC) continue;
    if (!has_room(info)) continue;
    const Fd probe(::open(path, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
    if (probe.ok()) return path;
  }
  return {};
}

Result<std::unique_ptr<DeviceFiles>> DeviceFiles::create(Fd directory) {
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.ok()) return std::unexpected(last_error("no inotify instance is left"));
  struct stat info{};
  if (::fstat(directory.get(), &info) != 0)
    return std::unexpected(last_error("the tmpfs cannot be examined"));
  return std::unique_ptr<DeviceFiles>(
      new DeviceFiles(std::move(directory), std::move(inotify), info.st_dev));
}

/// A FIFO has a name for a moment: there is no O_TMPFILE of one.
Fd DeviceFiles::make_fifo() const {
  for (unsigned attempt = 0; attempt < 1000; ++attempt) {
    const std::string name = ".teeio-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    if (::mkfifoat(directory_.get(), name.c_str(), 0600) != 0) {
      if (errno == EEXIST) continue;
      return {};
    }
    Fd fifo(::openat(directory_.get(), name.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ::unlinkat(directory_.get(), name.c_str(), 0);
    return fifo;
  }
  return {};
}

namespace {

class FifoReadiness final : public mm::Readiness {
 public:
  explicit FifoReadiness(std::shared_ptr<Backing> backing) : backing_(std::move(backing)) {}
  void set_readable(bool readable) override {
    if (readable == readable_) return;
    readable_ = readable;
    char byte = 0;
    if (readable)
      (void)!::write(backing_->fd.get(), &byte, 1);
    else
      (void)!::read(backing_->fd.get(), &byte, 1);
  }

 private:
  const std::shared_ptr<Backing> backing_;
  bool readable_ = false;
};

}  // namespace

std::unique_ptr<mm::Readiness> make_readiness(std::shared_ptr<Backing> backing) {
  return std::make_unique<FifoReadiness>(std::move(backing));
}

Result<DeviceFileRef> DeviceFiles::add(object::Ref<object::File> file, std::string name,
                                       std::uint32_t flags, pid_t opener,
                                       entry::SystemCalls::Polling polling) {
  const bool always = polling == entry::SystemCalls::Polling::kAlways;
  auto backing = std::make_shared<Backing>();
  backing->fd =
      always ? Fd(::openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600))
             : make_fifo();
  struct stat info{};
  if (!backing->fd.ok() || ::fstat(backing->fd.get(), &info) != 0)
    return std::unexpected(last_error("the tmpfs takes no further file"));
  backing->inode = info.st_ino;
  auto device = std::make_shared<DeviceFile>();
  device->file = std::move(file);
  backing->name = name;
  device->name = std::move(name);
  device->flags = flags;
  device->opener = opener;
  device->backing = std::move(backing);
  device->polling = polling;
  // An attribute is read natively by design, and a FIFO by us; on others that is a slip.
  const std::uint32_t slips = device->is_attribute() || !always ? 0 : IN_ACCESS | IN_MODIFY;
  const std::string path = proc_path(::getpid(), "fd/" + std::to_string(device->backing->fd.get()));
  const schedule::Lock lock(mutex_);
  device->watch = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_CLOSE | slips);
  if (device->watch < 0) return std::unexpected(last_error("no inotify watch is left"));
  by_watch_.emplace(device->watch, device);
  by_inode_.emplace(info.st_ino, device);
  return device;
}

Result<Fd> DeviceFiles::open_for_program(const DeviceFile& file) const {
  constexpr std::uint32_t kKept = O_ACCMODE | O_APPEND | O_NONBLOCK;
  const std::string path = "/proc/self/fd/" + std::to_string(file.backing->fd.get());
  std::uint32_t flags = file.flags & kKept;
  // Of a FIFO that is open for writing, poll(2) would say that it is writable.
  if (file.polling == entry::SystemCalls::Polling::kReadable)
    flags = (flags & ~static_cast<std::uint32_t>(O_ACCMODE)) | O_RDONLY;
  Fd opened(::open(path.c_str(), static_cast<int>(flags) | O_CLOEXEC));
  if (!opened.ok()) return std::unexpected(last_error("the backing file cannot be reopened"));
  return opened;
}

void DeviceFiles::forget(const DeviceFileRef& file) { (void)take(file->watch); }

DeviceFileRef DeviceFiles::take(int watch) {
  const schedule::Lock lock(mutex_);
  const auto at = by_watch_.find(watch);
  if (at == by_watch_.end()) return nullptr;
  DeviceFileRef file = std::move(at->second);
  by_watch_.erase(at);
  by_inode_.erase(file->backing->inode);
  ::inotify_rm_watch(inotify_.get(), watch);
  return file;
}

DeviceFileRef DeviceFiles::find(dev_t device, ino_t inode) {
  if (device != device_) return nullptr;
  const schedule::Lock lock(mutex_);
  const auto at = by_inode_.find(inode);
  return at == by_inode_.end() ? nullptr : at->second;
}

std::size_t DeviceFiles::count() {
  const schedule::Lock lock(mutex_);
  return by_watch_.size();
}

std::vector<DeviceFileRef> DeviceFiles::drain() {
  std::vector<DeviceFileRef> closed;
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) return closed;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      at += sizeof(event) + event.len;
      on_event(event.mask, event.wd, closed);
    }
  }
}

void DeviceFiles::on_event(std::uint32_t mask, int watch, std::vector<DeviceFileRef>& closed) {
  if ((mask & IN_Q_OVERFLOW) != 0) return rescan(closed);
  if ((mask & IN_CLOSE) != 0) {
    if (DeviceFileRef file = take(watch)) closed.push_back(std::move(file));
    return;
  }
  if ((mask & (IN_ACCESS | IN_MODIFY)) != 0 && slip_) on_slip_event(mask, watch);
}

void DeviceFiles::on_slip_event(std::uint32_t mask, int watch) {
  DeviceFileRef file;
  {
    const schedule::Lock lock(mutex_);
    const auto at = by_watch_.find(watch);
    if (at == by_watch_.end()) return;
    file = at->second;
  }
  schedule::Atomic<std::uint32_t>& own = file->backing->own_changes;
  std::uint32_t left = own.load();
  while ((mask & IN_MODIFY) != 0 && left > 0)
    if (own.compare_exchange(left, left - 1)) return;
  slip_(*file, (mask & IN_ACCESS) != 0 ? "read" : "write");
}

void DeviceFiles::rescan(std::vector<DeviceFileRef>& closed) {
  std::vector<DeviceFileRef> candidates;
  {
    const schedule::Lock lock(mutex_);
    for (const auto& [watch, file] : by_watch_)
      if (file->handed_out.load()) candidates.push_back(file);
  }
  const OpenScan held(device_);
  for (const DeviceFileRef& file : candidates)
    if (!held.contains(file->backing->inode) && take(file->watch)) closed.push_back(file);
}

std::vector<DeviceFileRef> DeviceFiles::take_all() {
  std::vector<DeviceFileRef> files;
  const schedule::Lock lock(mutex_);
  for (const auto& [watch, file] : by_watch_) {
    ::inotify_rm_watch(inotify_.get(), watch);
    files.push_back(file);
  }
  by_watch_.clear();
  by_inode_.clear();
  return files;
}

}  // namespace teeio::run
