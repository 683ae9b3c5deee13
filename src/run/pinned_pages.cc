#include "run/pinned_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "base/types.h"
#include "run/device_files.h"
#include "run/file_windows.h"
#include "run/numbered_entries.h"
#include "run/process_maps.h"
#include "run/processes.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// Where a page belongs that `line` maps.
mm::PageId page_of(pid_t process, const MapsLine& line, std::uint64_t address) {
  if (line.shared && line.inode != 0)
    return {.device = line.device,
            .file = line.inode,
            .offset = mm::page_base(line.offset + (address - line.start))};
  return {
      .device = 0, .file = static_cast<std::uint64_t>(process), .offset = mm::page_base(address)};
}

/// Whether /proc/<tid>/mem has an address space behind it still: reads give 0 bytes
/// without one (fs/proc/base.c, mem_rw()).
bool has_address_space(const Fd& memory, std::uint64_t address) {
  std::byte byte{};
  return ::pread(memory.get(), &byte, 1, static_cast<off_t>(address)) == 1;
}

class MappedPages final : public mm::Pages {
 public:
  /// `process`: the one that maps the file, if one does.
  MappedPages(FilePart part, mm::Access access, mm::PageId first, std::optional<pid_t> process)
      : part_(std::move(part)),
        bytes_(part_.bytes()),
        access_(access),
        first_(first),
        process_(process) {}

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
  mm::PageId page(std::uint64_t offset) override {
    return {first_.device, first_.file, mm::page_base(first_.offset + offset)};
  }
  bool present() override { return !process_ || has_memory(living_thread(*process_)); }

 private:
  const FilePart part_;
  const std::span<std::byte> bytes_;
  const mm::Access access_;
  const mm::PageId first_;
  const std::optional<pid_t> process_;
};

/// /proc/<tid>/mem stays with the address space it was opened on: an exec or a
/// reused thread id cannot redirect it.
class CopiedPages final : public mm::Pages {
 public:
  CopiedPages(Fd memory, std::uint64_t address, std::uint64_t size, mm::Access access,
              pid_t process, std::vector<MapsLine> lines)
      : memory_(std::move(memory)),
        address_(address),
        size_(size),
        access_(access),
        process_(process),
        lines_(std::move(lines)) {}

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
  mm::PageId page(std::uint64_t offset) override {
    const std::uint64_t address = address_ + offset;
    for (const MapsLine& line : lines_)
      if (address < line.end) return page_of(process_, line, address);
    return {.device = 0, .file = static_cast<std::uint64_t>(process_), .offset = address};
  }
  bool present() override { return has_address_space(memory_, address_); }

 private:
  static std::unexpected<Error> gone() {
    return fail(Errno::kFault, "pinned memory that the program has unmapped");
  }
  const Fd memory_;
  const std::uint64_t address_;
  const std::uint64_t size_;
  const mm::Access access_;
  const pid_t process_;
  const std::vector<MapsLine> lines_;
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

Result<object::Ref<mm::Pages>> map_at(const Fd& fd, const mm::PageId& first, std::uint64_t length,
                                      mm::Access access, std::optional<pid_t> process) {
  const int prot = access == mm::Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  auto part = FilePart::map(fd, first.offset, length, prot);
  if (!part) return std::unexpected(last_error("the file cannot be mapped"));
  return object::Ref<mm::Pages>(
      object::make_ref<MappedPages>(std::move(*part), access, first, process));
}

int open_flags(mm::Access access) {
  return (access == mm::Access::kReadWrite ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
}

}  // namespace

Result<object::Ref<mm::Pages>> map_pages(const Fd& fd, std::uint64_t start, std::uint64_t length,
                                         mm::Access access) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return std::unexpected(last_error("the file is no file"));
  return map_at(fd, {.device = info.st_dev, .file = info.st_ino, .offset = start}, length, access,
                std::nullopt);
}

Result<std::vector<mm::PageId>> pages_at(const Thread& thread, std::uint64_t address,
                                         std::uint64_t length) {
  std::vector<mm::PageId> found;
  if (length == 0) return found;
  std::uint64_t last = 0;
  if (__builtin_add_overflow(address, length - 1, &last) || mm::page_base(last) + kPageSize == 0)
    return fail(Errno::kFault, "the range wraps");
  const std::uint64_t end = mm::page_base(last) + kPageSize;
  const auto lines = cover(thread.tid, mm::page_base(address), end, mm::Access::kRead);
  if (!lines) return fail(Errno::kFault, "a page is missing or protected");
  auto line = lines->begin();
  for (std::uint64_t at = mm::page_base(address); at < end; at += kPageSize) {
    while (at >= line->end) ++line;
    found.push_back(page_of(thread.process, *line, at));
  }
  return found;
}

Result<object::Ref<mm::Pages>> pin_pages(DeviceFiles& files, const Thread& thread,
                                         std::uint64_t address, std::uint64_t length,
                                         mm::Access access) {
  const std::uint64_t end = address + length;
  if (length == 0 || end < address || !is_page_aligned(address) || !is_page_aligned(length))
    return fail(Errno::kFault, "the range to pin is empty or wraps");
  auto lines = cover(thread.tid, address, end, access);
  if (!lines) return fail(Errno::kFault, "a page to pin is missing or protected");
  for (const MapsLine& line : *lines) {
    const DeviceFileRef ours = files.find(line.device, line.inode);
    if (ours && ours->file->kind() == object::FileKind::kVfioDevice)
      return fail(Errno::kFault, "device memory cannot be pinned");
  }
  const MapsLine& first = lines->front();
  if (lines->size() == 1 && first.shared && first.inode != 0) {
    const Fd file = open_mapped_file(thread.tid, first, open_flags(access));
    const std::uint64_t start = first.offset + (address - first.start);
    struct stat info{};
    const bool inside = file.ok() && ::fstat(file.get(), &info) == 0 &&
                        start + length <= static_cast<std::uint64_t>(info.st_size);
    const mm::PageId page{.device = first.device, .file = first.inode, .offset = start};
    if (inside)
      if (auto pages = map_at(file, page, length, access, thread.process)) return pages;
  }
  const int flags = access == mm::Access::kReadWrite ? O_RDWR : O_RDONLY;
  Fd memory(::open(proc_path(thread.tid, "mem").c_str(), flags | O_CLOEXEC));
  if (!memory.ok()) return fail(Errno::kFault, "the program's memory cannot be opened");
  return object::Ref<mm::Pages>(object::make_ref<CopiedPages>(
      std::move(memory), address, length, access, thread.process, std::move(*lines)));
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
