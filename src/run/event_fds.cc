#include "run/event_fds.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "run/numbered_entries.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

std::optional<int> id_in(const std::string& info) {
  const std::size_t at = info.find("eventfd-id:");
  int id = 0;
  if (at == std::string::npos || std::sscanf(info.c_str() + at, "eventfd-id: %d", &id) != 1)
    return std::nullopt;
  return id;
}

std::optional<int> id_of(pid_t tid, int fd) {
  return id_in(read_file(proc_path(tid, "fdinfo/" + std::to_string(fd))));
}

bool holds(pid_t pid, int id) {
  const std::string fds = proc_path(pid, "fd");
  return std::ranges::any_of(numbered_entries(fds), [&](int fd) {
    return read_link(fds + "/" + std::to_string(fd)).starts_with("anon_inode:[eventfd") &&
           id_of(pid, fd) == id;
  });
}

}  // namespace

bool held_by_others(int id) {
  return std::ranges::any_of(numbered_entries("/proc"),
                             [id](int pid) { return pid != ::getpid() && holds(pid, id); });
}

std::optional<int> event_id(const Fd& fd) {
  return id_in(read_file("/proc/self/fdinfo/" + std::to_string(fd.get())));
}

bool can_steal_descriptors() {
  const Fd self(pidfd_open(::getpid(), 0));
  const Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return Fd(pidfd_getfd(self.get(), file.get())).ok();
}

Result<Fd> EventFds::make(std::uint32_t count, int flags) {
  Fd made(::eventfd(count, flags | EFD_CLOEXEC));
  if (!made.ok()) return std::unexpected(last_error("no eventfd can be made"));
  Fd handed_out(::fcntl(made.get(), F_DUPFD_CLOEXEC, 0));
  const auto id = id_of(::getpid(), made.get());
  const schedule::Lock lock(mutex_);
  if (!handed_out.ok() || by_id_.size() >= kMaxKept)
    return fail(Errno::kMFile, "too many eventfds to keep");
  if (id) by_id_[*id] = std::move(made);
  return handed_out;
}

Result<Fd> EventFds::find(pid_t tid, int fd) {
  const auto id = id_of(tid, fd);
  if (!id) return fail(Errno::kPerm, "not an eventfd");
  const schedule::Lock lock(mutex_);
  const auto at = by_id_.find(*id);
  if (at == by_id_.end()) return fail(Errno::kPerm, "an eventfd from outside");
  Fd copy(::fcntl(at->second.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.ok()) return std::unexpected(last_error("no descriptor is left"));
  return copy;
}

}  // namespace teeio::run
