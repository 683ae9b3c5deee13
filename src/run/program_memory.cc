#include "run/program_memory.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "base/types.h"
#include "run/pinned_pages.h"
#include "run/read_memory.h"
#include "run/sys.h"
#include "run/tasks.h"

namespace teeio::run {
namespace {

/// The iovec type has no const; process_vm_writev() only reads this side.
iovec local_iovec(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }
iovec remote_iovec(std::uint64_t address, std::size_t size) {
  return {reinterpret_cast<void*>(address), size};
}

}  // namespace

Result<void> ProgramMemory::read(std::uint64_t address, std::span<std::byte> out) {
  if (out.empty()) return {};
  const ssize_t done = read_memory(tid_, address, out);
  if (done == static_cast<ssize_t>(out.size())) return {};
  return fail(Errno::kFault, "the program's memory is not readable there");
}

Result<void> ProgramMemory::write(std::uint64_t address, ByteView in) {
  if (in.empty()) return {};
  if (!listener_.waiting(call_)) return fail(Errno::kFault, "the caller is gone");
  const iovec here = local_iovec(in.data(), in.size());
  const iovec there = remote_iovec(address, in.size());
  ssize_t done = ::process_vm_writev(tid_, &here, 1, &there, 1, 0);
  if (is_forbidden(done)) {
    const Fd memory(::open(proc_path(tid_, "mem").c_str(), O_WRONLY | O_CLOEXEC));
    done = ::pwrite(memory.get(), in.data(), in.size(), static_cast<off_t>(address));
  }
  if (done == static_cast<ssize_t>(in.size())) return {};
  return fail(Errno::kFault, "the program's memory is not writable there");
}

Result<std::string> ProgramMemory::read_path(std::uint64_t address) {
  std::string path;
  std::array<std::byte, 256> part;
  while (path.size() < PATH_MAX) {
    // Never across a page: the next one may be missing, and the NUL before it.
    const std::uint64_t in_page = kPageSize - (address & (kPageSize - 1));
    const std::size_t size = std::min<std::uint64_t>(part.size(), in_page);
    const std::span<std::byte> piece(part.data(), size);
    TEEIO_TRY(read(address, piece));
    const char* text = reinterpret_cast<const char*>(piece.data());
    const void* end = std::memchr(text, 0, size);
    if (end != nullptr) return path.append(text, static_cast<const char*>(end));
    path.append(text, size);
    address += size;
  }
  return fail(Errno::kNameTooLong, "the path has no end within PATH_MAX");
}

Thread ProgramMemory::thread() {
  return {tid_, tasks_.process_of(tid_), tasks_.address_space(tid_)};
}

Result<object::Ref<mm::Pages>> ProgramMemory::pin(std::uint64_t address, std::uint64_t length,
                                                  mm::Access access) {
  return pin_pages(files_, thread(), address, length, access);
}

Result<std::vector<mm::PageId>> ProgramMemory::pages(std::uint64_t address, std::uint64_t length) {
  return pages_at(thread(), address, length);
}

Result<mm::DeviceMappings::Mapping> ProgramMemory::device_mapping(std::uint64_t address,
                                                                  std::uint64_t length,
                                                                  mm::Access access) {
  return find_device_mapping(files_, thread(), address, length, access);
}

}  // namespace teeio::run
