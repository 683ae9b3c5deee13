#include "device/nvme/name_space.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "device/nvme/spec.h"

namespace teeio::nvme {
namespace {

constexpr std::size_t kZeroes = 64 * 1024;

Errno last_errno() { return Errno{static_cast<std::uint16_t>(errno)}; }

}  // namespace

Result<NameSpace> NameSpace::open(const std::string& path, std::uint64_t bytes) {
  // Without O_NONBLOCK a FIFO or a device would wait.
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.ok()) return fail(last_errno(), "the file cannot be opened for reading and writing");
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(last_errno(), "the file has no size");
  if (!S_ISREG(status.st_mode)) return fail(Errno::kInval, "it is no regular file");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errno::kBusy, "another process or namespace uses the file");
  const auto has = static_cast<std::uint64_t>(status.st_size);
  if (has < bytes) return fail(Errno::kNoSpc, "the file is smaller than the namespace");
  const std::uint64_t whole = (bytes == 0 ? has : bytes) / kBlock * kBlock;
  if (whole == 0) return fail(Errno::kInval, "the file has not a single block of 512 bytes");
  return NameSpace(std::move(file), Memory(nullptr, Unmap{}), whole);
}

Result<NameSpace> NameSpace::in_memory(std::uint64_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail(last_errno(), "there is no room for a namespace's memory");
  return NameSpace(Fd(), Memory(static_cast<std::byte*>(memory), Unmap{bytes}), bytes);
}

void NameSpace::Unmap::operator()(std::byte* memory) const { (void)::munmap(memory, bytes); }

Result<void> NameSpace::read(std::uint64_t offset, std::span<std::byte> out) {
  if (!is_file()) {
    std::ranges::copy(at(offset, out.size()), out.begin());
    return {};
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(last_errno(), "the namespace's file cannot be read");
    if (got == 0) return fail(Errno::kIo, "the namespace's file was cut short");
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<void> NameSpace::write(std::uint64_t offset, ByteView in) {
  if (!is_file()) {
    std::ranges::copy(in, at(offset, in.size()).begin());
    return {};
  }
  if (failed_) return fail(Errno::kIo, "the namespace failed to reach its disk");
  while (!in.empty()) {
    const ssize_t put = ::pwrite(file_.get(), in.data(), in.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return fail(last_errno(), "the namespace's file cannot be written");
    in = in.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<void> NameSpace::zero(std::uint64_t offset, std::uint64_t bytes) {
  if (is_file()) return zero_file(offset, bytes);
  // Whole pages are given back, and are zero when they are touched again.
  const std::uint64_t end = offset + bytes;
  const std::uint64_t first = std::min((offset + (kPage - 1)) / kPage * kPage, end);
  const std::uint64_t last = std::max(end / kPage * kPage, first);
  const auto pages = at(first, last - first);
  if (!pages.empty() && ::madvise(pages.data(), pages.size(), MADV_DONTNEED) != 0)
    std::ranges::fill(pages, std::byte{0});
  std::ranges::fill(at(offset, first - offset), std::byte{0});
  std::ranges::fill(at(last, end - last), std::byte{0});
  return {};
}

Result<void> NameSpace::zero_file(std::uint64_t offset, std::uint64_t bytes) {
  if (failed_) return fail(Errno::kIo, "the namespace failed to reach its disk");
  if (::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0)
    return {};
  const Bytes zeroes(std::min<std::uint64_t>(bytes, kZeroes));
  while (bytes > 0) {
    const std::size_t part = std::min<std::uint64_t>(bytes, zeroes.size());
    TEEIO_TRY(write(offset, ByteView(zeroes).first(part)));
    offset += part;
    bytes -= part;
  }
  return {};
}

Result<void> NameSpace::flush() {
  if (failed_) return fail(Errno::kIo, "the namespace failed to reach its disk");
  if (!is_file() || ::fdatasync(file_.get()) == 0) return {};
  failed_ = true;
  return fail(last_errno(), "the namespace's file did not reach its disk");
}

}  // namespace teeio::nvme
