#include "run/listener.h"

#include <poll.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>

#include "run/sys.h"

namespace teeio::run {
namespace {
// Linux 6.6's additions to <linux/seccomp.h>.
constexpr unsigned long kSetFlags = _IOW(SECCOMP_IOC_MAGIC, 4, std::uint64_t);
constexpr unsigned long kSyncWakeUp = 1;

/// Source: kernel/seccomp.c, seccomp_notify_addfd(): ENOENT and ESRCH once the caller waits no
/// more, else what fs/file.c says, receive_fd() and receive_fd_replace().
Error why_not_added(int error) {
  switch (error) {
    case ENOENT:
    case ESRCH:
      return kCallerIsGone;
    case EMFILE:
    case EBADF:  // a number beyond RLIMIT_NOFILE is EBADF to replace_fd(), EMFILE to open(2)
      return {Errno::kMFile, "the program has no number left"};
    case ENOMEM:
      return {Errno::kNoMem, "the program's table of descriptors cannot grow"};
    default:
      return {static_cast<Errno>(error), "the kernel does not give the program a descriptor"};
  }
}

}  // namespace

Listener::Listener(Fd fd) : fd_(std::move(fd)) {
  // The kernel wakes us on the caller's own CPU, where it can: Linux 6.6.
  (void)::ioctl(fd_.get(), kSetFlags, kSyncWakeUp);
}

Result<seccomp_notif> Listener::receive() {
  // A later kernel may append fields; it wants all of them zero.
  struct {
    seccomp_notif call;
    std::array<std::byte, 176> later;
  } room{};
  if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, &room) == 0) return room.call;
  return std::unexpected(last_error("no trapped call"));
}

bool Listener::ended() const {
  pollfd state{.fd = fd_.get(), .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

void Listener::send(std::uint64_t id, std::int64_t value, std::int32_t error, std::uint32_t flags) {
  seccomp_notif_resp answer{.id = id, .val = value, .error = error, .flags = flags};
  while (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno == EINTR) {
  }
}

void Listener::reply_value(std::uint64_t id, std::int64_t value) { send(id, value, 0, 0); }
void Listener::reply_error(std::uint64_t id, std::int32_t error) { send(id, 0, -error, 0); }
void Listener::reply_continue(std::uint64_t id) {
  send(id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

bool Listener::waiting(std::uint64_t id) const {
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

Result<int> Listener::add_fd(std::uint64_t id, int fd, std::uint32_t flags, Number how,
                             int number) {
  seccomp_notif_addfd request{};
  request.id = id;
  request.srcfd = static_cast<std::uint32_t>(fd);
  request.newfd_flags = flags;
  if (how == Number::kExact) {
    request.flags = SECCOMP_ADDFD_FLAG_SETFD;
    request.newfd = static_cast<std::uint32_t>(number);
  }
  int given = 0;
  do given = ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request);
  while (given < 0 && errno == EINTR);
  if (given >= 0) return given;
  return std::unexpected(why_not_added(errno));
}

}  // namespace teeio::run
