#include "run/pinned_pages.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/types.h"
#include "run/address_space.h"
#include "run/device_files.h"
#include "run/file_windows.h"
#include "run/mapped_files.h"
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

class MappedPages final : public mm::Pages {
 public:
  /// `file`, `process`: of a part of what the process maps.
  MappedPages(std::shared_ptr<const Fd> file, FilePart part, mm::Access access, mm::PageId first,
              std::optional<pid_t> process)
      : file_(std::move(file)),
        part_(std::move(part)),
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
  const std::shared_ptr<const Fd> file_;  ///< for who pins the next part of it
  const FilePart part_;
  const std::span<std::byte> bytes_;
  const mm::Access access_;
  const mm::PageId first_;
  const std::optional<pid_t> process_;
};

class CopiedPages final : public mm::Pages {
 public:
  CopiedPages(Thread thread, std::uint64_t address, std::uint64_t size, mm::Access access,
              std::vector<MapsLine> lines)
      : space_(std::move(thread.space)),
        address_(address),
        size_(size),
        access_(access),
        process_(thread.process),
        lines_(std::move(lines)) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    if (space_->read(address_ + offset, out)) return {};
    return gone();
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    if (access_ == mm::Access::kRead) return fail(Errno::kFault, "the pages are pinned read-only");
    if (space_->write(address_ + offset, in)) return {};
    return gone();
  }
  std::span<std::byte> direct() override { return {}; }
  mm::PageId page(std::uint64_t offset) override {
    const std::uint64_t address = address_ + offset;
    for (const MapsLine& line : lines_)
      if (address < line.end) return page_of(process_, line, address);
    return {.device = 0, .file = static_cast<std::uint64_t>(process_), .offset = address};
  }
  /// Reads give 0 bytes without an address space (fs/proc/base.c, mem_rw()).
  bool present() override {
    std::byte byte{};
    return space_->read(address_, {&byte, 1});
  }

 private:
  static std::unexpected<Error> gone() {
    return fail(Errno::kFault, "pinned memory that the program has unmapped");
  }
  const std::shared_ptr<const AddressSpace> space_;
  const std::uint64_t address_;
  const std::uint64_t size_;
  const mm::Access access_;
  const pid_t process_;
  const std::vector<MapsLine> lines_;
};

/// The thread's mappings in a range. What is known of its memory may be another program's that
/// it had before it executed this one: then it is looked at anew.
std::vector<MapsLine> mappings_of(Thread& thread, std::uint64_t address, std::uint64_t end) {
  auto lines = ask_maps(thread.space->maps(), address, end);
  if (!lines && lines.error() == NoMaps::kGone) {
    thread.space = std::make_shared<const AddressSpace>(thread.tid);
    lines = ask_maps(thread.space->maps(), address, end);
  }
  // A kernel that cannot be asked does not say so by itself; of a dead one the list is empty.
  if (char first = 0; !lines && ::pread(thread.space->maps().get(), &first, 1, 0) <= 0)
    thread.space = std::make_shared<const AddressSpace>(thread.tid);
  return lines ? *std::move(lines) : read_maps(thread.tid, address, end);
}

/// The lines that cover the range without a gap, all allowing `access`.
std::optional<std::vector<MapsLine>> cover(Thread& thread, std::uint64_t address, std::uint64_t end,
                                           mm::Access access) {
  if (address >= end) return std::nullopt;  // nothing, or up to the last address
  std::vector<MapsLine> lines = mappings_of(thread, address, end);
  for (const MapsLine& line : lines) {
    if (line.start > address || !line.readable) return std::nullopt;
    if (access == mm::Access::kReadWrite && !line.writable) return std::nullopt;
    address = line.end;
  }
  if (address < end) return std::nullopt;
  return lines;
}

int protection(mm::Access access) {
  return access == mm::Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
}

/// A part of a shared mapping, if it is inside of its file. nullptr otherwise.
object::Ref<mm::Pages> pin_shared(const Thread& thread, const MapsLine& line, std::uint64_t address,
                                  std::uint64_t length, mm::Access access) {
  auto [file, is_kept] = mapped_file(thread.tid, line, access);
  struct stat info{};
  const mm::PageId first{
      .device = line.device, .file = line.inode, .offset = line.offset + (address - line.start)};
  if (!file || ::fstat(file->get(), &info) != 0 ||
      first.offset + length > static_cast<std::uint64_t>(info.st_size))
    return nullptr;
  auto part = FilePart::map(*file, first.offset, length, protection(access));
  if (!part) return nullptr;
  return object::make_ref<MappedPages>(is_kept ? std::move(file) : nullptr, std::move(*part),
                                       access, first, thread.process);
}

}  // namespace

Result<object::Ref<mm::Pages>> map_pages(const Fd& fd, std::uint64_t start, std::uint64_t length,
                                         mm::Access access) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return std::unexpected(last_error("the file is no file"));
  auto part = FilePart::map(fd, start, length, protection(access));
  if (!part) return std::unexpected(last_error("the file cannot be mapped"));
  const mm::PageId first{.device = info.st_dev, .file = info.st_ino, .offset = start};
  return object::Ref<mm::Pages>(
      object::make_ref<MappedPages>(nullptr, std::move(*part), access, first, std::nullopt));
}

Result<std::vector<mm::PageId>> pages_at(Thread thread, std::uint64_t address,
                                         std::uint64_t length) {
  std::vector<mm::PageId> found;
  if (length == 0) return found;
  std::uint64_t last = 0;
  if (__builtin_add_overflow(address, length - 1, &last) || mm::page_base(last) + kPageSize == 0)
    return fail(Errno::kFault, "the range wraps");
  const std::uint64_t end = mm::page_base(last) + kPageSize;
  const auto lines = cover(thread, mm::page_base(address), end, mm::Access::kRead);
  if (!lines) return fail(Errno::kFault, "a page is missing or protected");
  auto line = lines->begin();
  for (std::uint64_t at = mm::page_base(address); at < end; at += kPageSize) {
    while (at >= line->end) ++line;
    found.push_back(page_of(thread.process, *line, at));
  }
  return found;
}

Result<object::Ref<mm::Pages>> pin_pages(DeviceFiles& files, Thread thread, std::uint64_t address,
                                         std::uint64_t length, mm::Access access) {
  const std::uint64_t end = address + length;
  if (length == 0 || end < address || !is_page_aligned(address) || !is_page_aligned(length))
    return fail(Errno::kFault, "the range to pin is empty or wraps");
  auto lines = cover(thread, address, end, access);
  if (!lines) return fail(Errno::kFault, "a page to pin is missing or protected");
  for (const MapsLine& line : *lines) {
    const DeviceFileRef ours = files.find(line.device, line.inode);
    if (ours && ours->file->kind() == object::FileKind::kVfioDevice)
      return fail(Errno::kFault, "device memory cannot be pinned");
  }
  const MapsLine& first = lines->front();
  if (lines->size() == 1 && first.shared && first.inode != 0)
    if (auto pages = pin_shared(thread, first, address, length, access)) return pages;
  using Memory = AddressSpace::Memory;
  const Memory needed = access == mm::Access::kReadWrite ? Memory::kWritable : Memory::kReadable;
  if (thread.space->memory() < needed)
    return fail(Errno::kFault, "the program's memory cannot be opened");
  return object::Ref<mm::Pages>(
      object::make_ref<CopiedPages>(std::move(thread), address, length, access, std::move(*lines)));
}

Result<mm::DeviceMappings::Mapping> find_device_mapping(DeviceFiles& files, Thread thread,
                                                        std::uint64_t address, std::uint64_t length,
                                                        mm::Access access) {
  const auto lines = cover(thread, address, address + length, access);
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
