#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/check.h"
#include "run/device_files.h"
#include "run/fault_watch.h"
#include "run/numbered_entries.h"
#include "run/process_maps.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// Revoke cuts the file to nothing, which zaps every mapping of it. Our own
/// windows are first laid over with anonymous pages: their addresses stay
/// readable, so a device model that still runs cannot take SIGBUS.
class MappedBacking final : public mm::MappedFile {
 public:
  MappedBacking(std::shared_ptr<Backing> backing, std::weak_ptr<FaultWatch> watch)
      : backing_(std::move(backing)), watch_(std::move(watch)) {}
  ~MappedBacking() override {
    for (const auto& [offset, window] : windows_) ::munmap(window.address, window.size);
  }

  Result<std::span<std::byte>> expose(std::uint64_t offset, std::uint64_t size) override {
    const std::uint64_t end = std::max(file_size_, offset + size);
    if (end < offset) return fail(Errno::kFBig, "a window ends beyond the largest file");
    const auto at = windows_.find(offset);
    void* const old = at == windows_.end() ? nullptr : at->second.address;
    TEEIO_CHECK(old == nullptr || at->second.size == size, "a window changed its size");
    if (old != nullptr && at->second.in_file) return span_of(at->second);
    if (size <= kReserved && !reserve(offset, size)) return std::unexpected(no_room());
    if (!resize(end)) return std::unexpected(last_error("the backing file does not grow"));
    void* const address =
        ::mmap(old, size, PROT_READ | PROT_WRITE, MAP_SHARED | (old == nullptr ? 0 : MAP_FIXED),
               backing_->fd.get(), static_cast<off_t>(offset));
    if (address == MAP_FAILED) return std::unexpected(last_error("a window cannot be mapped"));
    return span_of(windows_[offset] = {address, size, true});
  }

  void revoke() override {
    struct stat info{};
    if (const auto watch = watch_.lock(); watch && ::fstat(backing_->fd.get(), &info) == 0)
      watch->before_revoke(info.st_dev, info.st_ino, backing_->name);
    for (auto& [offset, window] : windows_) {
      void* const cover = ::mmap(window.address, window.size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
      TEEIO_CHECK(cover == window.address, "a window cannot be covered");
      window.in_file = false;
    }
    TEEIO_CHECK(resize(0), "a backing file cannot be cut");
  }

  void punch_hole(std::uint64_t offset, std::uint64_t size) override {
    backing_->own_changes.fetch_add(1);
    const int done = ::fallocate(backing_->fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 static_cast<off_t>(offset), static_cast<off_t>(size));
    TEEIO_CHECK(done == 0, "a backing file cannot have a hole");
  }

  bool mapped(std::uint64_t offset, std::uint64_t size) override {
    struct stat info{};
    if (::fstat(backing_->fd.get(), &info) != 0) return false;
    for (const int pid : numbered_entries("/proc")) {
      if (pid == ::getpid()) continue;
      for (const MapsLine& line : read_maps(pid))
        if (line.device == info.st_dev && line.inode == info.st_ino &&
            line.offset < offset + size && offset < line.offset + (line.end - line.start))
          return true;
    }
    return false;
  }

 private:
  /// A window up to here has its pages at once: one that finds no room later is a SIGBUS, of
  /// the program and of the model. A larger BAR is seldom used whole.
  static constexpr std::uint64_t kReserved = std::uint64_t{16} << 20U;

  struct Window {
    void* address = nullptr;
    std::size_t size = 0;
    bool in_file = false;
  };
  bool reserve(std::uint64_t offset, std::uint64_t size) {
    backing_->own_changes.fetch_add(1);
    if (::fallocate(backing_->fd.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) !=
        0) {
      backing_->own_changes.fetch_add(static_cast<std::uint32_t>(-1));
      return false;
    }
    file_size_ = std::max(file_size_, offset + size);
    return true;
  }
  bool resize(std::uint64_t size) {
    if (size == file_size_) return true;
    backing_->own_changes.fetch_add(1);
    if (::ftruncate(backing_->fd.get(), static_cast<off_t>(size)) != 0) return false;
    file_size_ = size;
    return true;
  }
  static std::span<std::byte> span_of(const Window& window) {
    return {static_cast<std::byte*>(window.address), window.size};
  }

  const std::shared_ptr<Backing> backing_;
  const std::weak_ptr<FaultWatch> watch_;  ///< a file may outlive the run
  std::uint64_t file_size_ = 0;
  std::map<std::uint64_t, Window> windows_;
};

}  // namespace

std::unique_ptr<mm::MappedFile> map_backing(std::shared_ptr<Backing> backing,
                                            std::weak_ptr<FaultWatch> watch) {
  return std::make_unique<MappedBacking>(std::move(backing), std::move(watch));
}

}  // namespace teeio::run
