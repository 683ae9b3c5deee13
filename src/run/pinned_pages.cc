#include "run/pinned_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "base/types.h"
#include "run/device_files.h"
#include "run/numbered_entries.h"
#include "run/process_maps.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

class MappedPages final : public mm::Pages {
 public:
  MappedPages(void* address, std::size_t size, mm::Access access)
      : bytes_(static_cast<std::byte*>(address), size), access_(access) {}
  ~MappedPages() override { ::munmap(bytes_.data(), bytes_.size()); }

  [[nodiscard]] std::uint64_t size_bytes() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    if (access_ == mm::Access::kRead) return fail(Errno::kFault, "the pages are pinned read-only");
    std::memcpy(bytes_.data() + offset, in.data(), in.size());
    return {};
  }
  /// Read-only pages are reached by read() alone: nobody can write to them here.
  std::span<std::byte> direct() override {
    return access_ == mm::Access::kRead ? std::span<std::byte>{} : bytes_;
  }

 private:
  const std::span<std::byte> bytes_;
  const mm::Access access_;
};

/// /proc/<tid>/mem stays with the address space it was opened on: an exec or a
/// reused thread id cannot redirect it.
class CopiedPages final : public mm::Pages {
 public:
  CopiedPages(Fd memory, std::uint64_t address, std::uint64_t size, mm::Access access)
      : memory_(std::move(memory)), address_(address), size_(size), access_(access) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    const auto at = static_cast<off_t>(address_ + offset);
    if (::pread(memory_.get(), out.data(), out.size(), at) == static_cast<ssize_t>(out.size()))
      return {};
    return gone();
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    if (access_ == mm::Access::kRead) return fail(Errno::kFault, "the pages are pinned read-only");
    const auto at = static_cast<off_t>(address_ + offset);
    if (::pwrite(memory_.get(), in.data(), in.size(), at) == static_cast<ssize_t>(in.size()))
      return {};
    return gone();
  }
  std::span<std::byte> direct() override { return {}; }

 private:
  static std::unexpected<Error> gone() {
    return fail(Errno::kFault, "pinned memory that the program has unmapped");
  }
  const Fd memory_;
  const std::uint64_t address_;
  const std::uint64_t size_;
  const mm::Access access_;
};

/// The lines that cover the range without a gap, all allowing `access`.
std::optional<std::vector<MapsLine>> cover(pid_t tid, std::uint64_t address, std::uint64_t end,
                                           mm::Access access) {
  std::vector<MapsLine> lines;
  for (MapsLine& line : read_maps(tid, address, end)) {
    if (line.start > address || !line.readable) return std::nullopt;
    if (access == mm::Access::kReadWrite && !line.writable) return std::nullopt;
    address = line.end;
    lines.push_back(std::move(line));
    if (address >= end) return lines;
  }
  return std::nullopt;
}

bool is_file_of(const Fd& fd, const MapsLine& line) {
  struct stat info{};
  return fd.ok() && ::fstat(fd.get(), &info) == 0 && info.st_ino == line.inode;
}

/// The file of a shared mapping: by the kernel's own link where we may follow
/// it, else by any descriptor of the program for it, else by its name.
Fd open_mapped_file(pid_t tid, const MapsLine& line, int flags) {
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
  fd = Fd(::open(line.path.c_str(), flags));
  return is_file_of(fd, line) ? std::move(fd) : Fd();
}

int open_flags(mm::Access access) {
  return (access == mm::Access::kReadWrite ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
}

}  // namespace

Result<object::Ref<mm::Pages>> map_pages(const Fd& fd, std::uint64_t start, std::uint64_t length,
                                         mm::Access access) {
  const int prot = access == mm::Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const address =
      ::mmap(nullptr, length, prot, MAP_SHARED, fd.get(), static_cast<off_t>(start));
  if (address == MAP_FAILED) return std::unexpected(last_error("the file cannot be mapped"));
  return object::Ref<mm::Pages>(object::make_ref<MappedPages>(address, length, access));
}

Result<object::Ref<mm::Pages>> pin_pages(DeviceFiles& files, pid_t tid, std::uint64_t address,
                                         std::uint64_t length, mm::Access access) {
  const std::uint64_t end = address + length;
  if (length == 0 || end < address || !is_page_aligned(address) || !is_page_aligned(length))
    return fail(Errno::kFault, "the range to pin is empty or wraps");
  const auto lines = cover(tid, address, end, access);
  if (!lines) return fail(Errno::kFault, "a page to pin is missing or protected");
  for (const MapsLine& line : *lines) {
    const DeviceFileRef ours = files.find(line.device, line.inode);
    if (ours && ours->file->kind() == object::FileKind::kVfioDevice)
      return fail(Errno::kFault, "device memory cannot be pinned");
  }
  const MapsLine& first = lines->front();
  if (lines->size() == 1 && first.shared && first.inode != 0) {
    const Fd file = open_mapped_file(tid, first, open_flags(access));
    const std::uint64_t start = first.offset + (address - first.start);
    struct stat info{};
    const bool inside = file.ok() && ::fstat(file.get(), &info) == 0 &&
                        start + length <= static_cast<std::uint64_t>(info.st_size);
    if (inside)
      if (auto pages = map_pages(file, start, length, access)) return pages;
  }
  const int flags = access == mm::Access::kReadWrite ? O_RDWR : O_RDONLY;
  Fd memory(::open(proc_path(tid, "mem").c_str(), flags | O_CLOEXEC));
  if (!memory.ok()) return fail(Errno::kFault, "the program's memory cannot be opened");
  return object::Ref<mm::Pages>(
      object::make_ref<CopiedPages>(std::move(memory), address, length, access));
}

Result<mm::DeviceMappings::Mapping> find_device_mapping(DeviceFiles& files, pid_t tid,
                                                        std::uint64_t address, std::uint64_t length,
                                                        mm::Access access) {
  const auto lines = cover(tid, address, address + length, access);
  if (!lines) return fail(Errno::kFault, "a page is missing or protected");
  const MapsLine& first = lines->front();
  const std::uint64_t start = first.offset + (address - first.start);
  const DeviceFileRef ours = files.find(first.device, first.inode);
  std::uint64_t expected = first.offset + (first.end - first.start);
  for (std::size_t i = 1; i < lines->size(); ++i) {
    const MapsLine& line = lines->at(i);
    if (line.device != first.device || line.inode != first.inode || line.offset != expected)
      return fail(Errno::kFault, "the range is more than one mapping");
    expected += line.end - line.start;
  }
  if (!ours) return fail(Errno::kFault, "the mapping is none of a device");
  return mm::DeviceMappings::Mapping{ours->file, start};
}

}  // namespace teeio::run
