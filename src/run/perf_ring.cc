#include "run/perf_ring.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "base/types.h"

namespace teeio::run {

PerfRing::PerfRing(perf_event_attr attr, pid_t tid, int processor, std::size_t bytes,
                   std::size_t unpublished)
    : bytes_(bytes), unpublished_(unpublished) {
  attr.size = sizeof(attr);
  attr.inherit = 1;
  attr.write_backward = 1;
  fd_ = Fd(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attr, tid, processor, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!fd_.ok()) {
    error_ = errno;
    return;
  }
  // Not writable: the kernel then overwrites what is old, however little was read. The page
  // before the records has where the newest one is.
  void* const memory = ::mmap(nullptr, kPageSize + bytes, PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (memory == MAP_FAILED)
    error_ = errno;
  else
    memory_ = static_cast<std::byte*>(memory);
}

PerfRing::PerfRing(PerfRing&& other) noexcept
    : fd_(std::move(other.fd_)),
      error_(other.error_),
      bytes_(other.bytes_),
      unpublished_(other.unpublished_),
      memory_(std::exchange(other.memory_, nullptr)) {}

PerfRing::~PerfRing() {
  if (memory_ != nullptr) ::munmap(memory_, kPageSize + bytes_);
}

// kernel/events/core.c, perf_poll(): POLLHUP in state PERF_EVENT_STATE_EXIT, of all heirs too.
bool PerfRing::ended() const {
  pollfd state{.fd = fd_.get(), .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

bool PerfRing::visit(const Look& look) const {
  const auto* const page = reinterpret_cast<const perf_event_mmap_page*>(memory_);
  return visit_records({memory_ + kPageSize, bytes_}, page->data_head, unpublished_, look);
}

/// Records are written downwards from offset 0, so the newest is at the head. An heir may write
/// while we read, and what it has overwritten by then is not shown. It writes first, and the head
/// says so after that (kernel/events/ring_buffer.c, perf_output_put_handle()): the oldest bytes
/// are never sure.
bool PerfRing::visit_records(std::span<const std::byte> data, const volatile __u64& data_head,
                             std::size_t unpublished, const Look& look) {
  const auto head_now = [&] { return __atomic_load_n(&data_head, __ATOMIC_ACQUIRE); };
  const auto* const letters = reinterpret_cast<const unsigned char*>(data.data());
  const std::uint64_t head = head_now(), written = -head;
  const auto copy = [&](std::uint64_t at, std::span<std::byte> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {  // acquired: the head is looked at afterwards
      const unsigned char* const from = letters + (head + at + i) % data.size();
      out[i] = std::byte{__atomic_load_n(from, __ATOMIC_ACQUIRE)};
    }
    return head - head_now() + at + out.size() + unpublished <= data.size();
  };
  std::vector<std::byte> record;
  for (std::uint64_t at = 0; at < written; at += record.size()) {
    perf_event_header header{};
    record.resize(sizeof(header));
    if (!copy(at, record)) return false;
    std::memcpy(&header, record.data(), sizeof(header));
    if (header.size < sizeof(header)) return false;
    record.resize(header.size);
    if (!copy(at, record)) return false;
    if (!look(record)) return true;
  }
  return true;
}

}  // namespace teeio::run
