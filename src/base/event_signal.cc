#include "base/event_signal.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace teeio {
namespace {

/// A write() would wait when the program fills the counter, and O_NONBLOCK is the program's to
/// set. A read by Linux's AIO that is over at once (of an empty memfd) has the kernel itself
/// signal the eventfd of IOCB_FLAG_RESFD: fs/aio.c, aio_complete(). No task reads the
/// completions; they go when there is no room for more.
class KernelSignals {
 public:
  KernelSignals() : nothing_(::memfd_create("teeio signals", MFD_CLOEXEC)) {
    if (::syscall(SYS_io_setup, kCompletions, &context_) != 0) context_ = 0;
  }

  [[nodiscard]] bool signal(int eventfd) const {
    if (context_ == 0) return false;
    std::byte byte{};
    iocb read{};
    read.aio_lio_opcode = IOCB_CMD_PREAD;
    read.aio_fildes = static_cast<std::uint32_t>(nothing_.get());
    read.aio_buf = reinterpret_cast<std::uintptr_t>(&byte);
    read.aio_nbytes = 1;
    read.aio_flags = IOCB_FLAG_RESFD;
    read.aio_resfd = static_cast<std::uint32_t>(eventfd);
    iocb* const list = &read;
    for (;;) {
      if (::syscall(SYS_io_submit, context_, 1, &list) == 1) return true;
      // Who finds no room and nothing to take is beside another who took it.
      if (errno != EAGAIN || !make_room()) return false;
    }
  }

 private:
  static constexpr long kCompletions = 512;

  [[nodiscard]] bool make_room() const {
    std::array<io_event, kCompletions> done{};
    timespec now{};
    return ::syscall(SYS_io_getevents, context_, 0L, kCompletions, done.data(), &now) >= 0;
  }

  const Fd nothing_;
  aio_context_t context_ = 0;
};

/// Where the kernel has no AIO, or none left (fs.aio-max-nr).
void write_if_room(int eventfd) {
  pollfd state{.fd = eventfd, .events = POLLOUT, .revents = 0};
  if (::poll(&state, 1, 0) != 1) return;
  const std::uint64_t one = 1;
  (void)!::write(eventfd, &one, sizeof(one));
}

/// One a process, from its first use on.
const KernelSignals& kernel_signals() {
  static const KernelSignals signals;
  return signals;
}

}  // namespace

void prepare_event_signals() { (void)kernel_signals(); }

void signal_event(const Fd& eventfd) {
  if (!eventfd.ok()) return;
  if (!kernel_signals().signal(eventfd.get())) write_if_room(eventfd.get());
}

}  // namespace teeio
