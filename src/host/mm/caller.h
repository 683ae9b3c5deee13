#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "host/mm/user_memory.h"
#include "object/file.h"
#include "object/ref.h"

namespace teeio::mm {

/// Somebody who is told of an eventfd's signals. Destroying it returns when no call runs.
class EventWatch {
 public:
  virtual ~EventWatch() = default;
};

/// An eventfd of the program (Linux: struct eventfd_ctx).
/// Lifetime: counted; works after the program has closed its own descriptor.
class EventFd : public object::Counted {
 public:
  virtual void signal() = 0;  ///< adds 1; never blocks
  /// Reads the count, which is 0 then; 0 instead of blocking (eventfd_ctx_do_read()).
  virtual std::uint64_t take() = 0;
  /// Equal for two that are one eventfd of the kernel's, however they came here. Not for
  /// events: it differs from run to run.
  [[nodiscard]] virtual std::uint64_t identity() const = 0;
  /// Calls `signalled` after each signal, on a task of its own, without any lock, the count
  /// taken (Linux: a wait queue's function of ours, drivers/vfio/virqfd.c). One that waits
  /// already counts, and is told of before this returns.
  [[nodiscard]] virtual std::unique_ptr<EventWatch> watch(std::function<void()> signalled) = 0;
};

/// A file of the program that is none of ours, behind FileKind::kForeign: a
/// regular file, pipe, eventfd, memfd …
class ForeignFile : public object::File {
 public:
  ForeignFile() : File(object::FileKind::kForeign) {}
  /// Errors: EINVAL when it is no eventfd (as eventfd_ctx_fileget()).
  virtual Result<object::Ref<EventFd>> eventfd() = 0;
  /// The bytes [start, start + length) as memory; page aligned. Errors: EINVAL
  /// when it is no memfd (IOAS_MAP_FILE takes memfds and dma-bufs only) or the
  /// range lies outside, EACCES without the access mode.
  virtual Result<object::Ref<Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                                 Access access) = 0;
  /// Whether it is a VM of the host's own KVM (`teeio run --host-kvm`). Errors: EPERM where
  /// nobody may look at it.
  virtual Result<bool> is_host_vm() { return false; }
  /// Whether both are one open file of the kernel's; false too where it does not say.
  [[nodiscard]] virtual bool same_file(const ForeignFile& other) const { return this == &other; }
};

/// Signals that are blocked: bit n - 1 is signal n.
using SignalMask = std::optional<std::uint64_t>;

/// The task that makes a system call (Linux: current).
/// Lifetime: of one call; keep nothing of it afterwards.
class Caller {
 public:
  virtual ~Caller() = default;
  [[nodiscard]] virtual std::int32_t pid() const = 0;
  [[nodiscard]] virtual std::int32_t tid() const = 0;
  /// Identifies the address space: equal for two threads, different after fork
  /// (Linux: current->mm). KVM refuses VM calls from another one with EIO.
  [[nodiscard]] virtual std::uint64_t mm_id() const = 0;
  virtual UserMemory& memory() = 0;
  /// fget(): errors EBADF. What is not ours comes as a ForeignFile.
  virtual Result<object::Ref<object::File>> file(std::int32_t fd) = 0;
  /// Gives the program a new descriptor for `file`. `flags`: O_CLOEXEC and the
  /// access mode. Errors: EMFILE, ENFILE.
  virtual Result<std::int32_t> install(object::Ref<object::File> file, std::uint32_t flags) = 0;
  /// Whether a blocking call must return EINTR now. `blocked`: the thread's mask while the call
  /// runs, in place of its own (sigprocmask(SIG_SETMASK) around it).
  [[nodiscard]] bool signal_pending(SignalMask blocked = std::nullopt) {
    return looks_for_signal(blocked);
  }

 private:
  /// signal_pending().
  virtual bool looks_for_signal(SignalMask blocked) = 0;
};

}  // namespace teeio::mm
