#include "run/foreign_file.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/event_signal.h"
#include "base/types.h"
#include "host/mm/closable_event_fd.h"
#include "run/event_fds.h"
#include "run/event_watcher.h"
#include "run/pinned_pages.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// What the eventfd counts, 0 instead of waiting: whether it waits is the program's to say,
/// which may also read it itself meanwhile.
std::uint64_t take_from(const Fd& fd) {
  std::uint64_t count = 0;
  iovec into{.iov_base = &count, .iov_len = sizeof(count)};
  return ::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) == sizeof(count) ? count : 0;
}

/// Is told of signals by the thread that waits for all. One that others have read before the
/// thread has looked is lost: epoll asks the file again (fs/eventpoll.c, ep_send_events()),
/// whereas a function in the eventfd's wait queue takes it in the write itself
/// (docs/divergences.md).
class StolenWatch final : public mm::EventWatch {
 public:
  StolenWatch(Fd fd, std::function<void()> signalled)
      : fd_(std::move(fd)),
        events_(::epoll_create1(EPOLL_CLOEXEC)),
        signalled_(std::move(signalled)) {
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
    if (::epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd_.get(), &event) != 0) return;
    const bool waits_already = is_signalled();
    ok_ = event_watcher().add(events_.get(), [this] { look(); });
    if (ok_ && waits_already) signalled_();
  }
  [[nodiscard]] bool ok() const { return ok_; }
  ~StolenWatch() override {
    if (ok_) event_watcher().remove(events_.get());
  }

 private:
  /// Since it was asked last.
  [[nodiscard]] bool is_signalled() const {
    epoll_event event{};
    return ::epoll_wait(events_.get(), &event, 1, 0) == 1;
  }
  void look() {
    if (!is_signalled()) return;
    (void)take_from(fd_);
    signalled_();
  }

  const Fd fd_, events_;
  const std::function<void()> signalled_;
  bool ok_ = false;
};

class StolenEventFd final : public mm::ClosableEventFd {
 public:
  explicit StolenEventFd(Fd fd) : fd_(std::move(fd)), id_(event_id(fd_).value_or(-1)) {}
  void signal() override { signal_event(fd_); }
  std::uint64_t take() override { return take_from(fd_); }
  [[nodiscard]] std::uint64_t identity() const override { return static_cast<std::uint64_t>(id_); }
  [[nodiscard]] std::unique_ptr<mm::EventWatch> watch(std::function<void()> signalled) override;
  [[nodiscard]] bool closed() override { return id_ >= 0 && !held_by_others(id_); }

 private:
  const Fd fd_;
  const int id_;
};

std::unique_ptr<mm::EventWatch> StolenEventFd::watch(std::function<void()> signalled) {
  auto watch = std::make_unique<StolenWatch>(Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)),
                                             std::move(signalled));
  if (!watch->ok()) return nullptr;
  return watch;
}

std::string link_of(const Fd& fd) { return read_link("/proc/self/fd/" + std::to_string(fd.get())); }

}  // namespace

Result<object::Ref<mm::EventFd>> StolenFile::eventfd() {
  if (!link_of(fd_).starts_with("anon_inode:[eventfd"))
    return fail(Errno::kInval, "the descriptor is no eventfd");
  Fd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.ok()) return std::unexpected(last_error("no descriptor is left"));
  return object::Ref<mm::EventFd>(object::make_ref<StolenEventFd>(std::move(copy)));
}

Result<object::Ref<mm::Pages>> StolenFile::memfd_pages(std::uint64_t start, std::uint64_t length,
                                                       mm::Access access) {
  if (!link_of(fd_).starts_with("/memfd:"))
    return fail(Errno::kInval, "the descriptor is no memfd");
  struct stat info{};
  const std::uint64_t end = start + length;
  const bool inside = ::fstat(fd_.get(), &info) == 0 && length != 0 && end > start &&
                      end <= static_cast<std::uint64_t>(info.st_size);
  if (!inside || !is_page_aligned(start) || !is_page_aligned(length))
    return fail(Errno::kInval, "the range lies outside the memfd");
  return map_pages(fd_, start, length, access);
}

Result<bool> StolenFile::is_host_vm() { return link_of(fd_) == "anon_inode:kvm-vm"; }

bool StolenFile::same_file(const mm::ForeignFile& other) const {
  const auto* const stolen = dynamic_cast<const StolenFile*>(&other);
  const pid_t self = ::getpid();
  return stolen != nullptr &&
         ::syscall(SYS_kcmp, self, self, KCMP_FILE, fd_.get(), stolen->fd_.get()) == 0;
}

Result<bool> SealedFile::is_host_vm() {
  return fail(Errno::kPerm, "the program forbids inspection of its descriptors");
}

Result<object::Ref<mm::EventFd>> SealedFile::eventfd() {
  return fail(Errno::kInval, "the program forbids inspection of its descriptors");
}
Result<object::Ref<mm::Pages>> SealedFile::memfd_pages(std::uint64_t, std::uint64_t, mm::Access) {
  return fail(Errno::kInval, "the program forbids inspection of its descriptors");
}

}  // namespace teeio::run
