#include "run/tasks.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <span>

#include "run/filter.h"
#include "run/pidfd.h"
#include "run/processes.h"
#include "run/read_memory.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// Numbers whose every change the filter shows us.
bool is_watched(int fd) { return fd >= kFirstFd || (fd >= 0 && fd <= kLastStandardFd); }

pid_t read_process(pid_t tid) {
  const std::string status = read_file(proc_path(tid, "status"));
  const std::size_t at = status.find("\nTgid:");
  int process = tid;
  if (at != std::string::npos) std::sscanf(status.c_str() + at, "\nTgid: %d", &process);
  return process;
}

}  // namespace

bool is_gone(int pidfd) {
  return pidfd < 0 ||
         (::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) != 0 && errno == ESRCH);
}

Tasks::Tasks(DeviceFiles& files) : files_(files), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

Tasks::Task& Tasks::task_locked(pid_t tid) {
  const auto known = tasks_.find(tid);
  if (known != tasks_.end()) {
    const Task& task = known->second;
    if (!task.is_of_process || ::tgkill(task.process, tid, 0) == 0) return known->second;
    forget_locked(tid);
  }
  Task& task = tasks_[tid];
  task.pidfd = Fd(pidfd_open(tid, 0));
  task.process = task.pidfd.ok() ? tid : read_process(tid);
  if (!task.pidfd.ok()) task.pidfd = Fd(pidfd_open(tid, kPidfdThread));
  if (!task.pidfd.ok()) {
    task.pidfd = Fd(pidfd_open(task.process, 0));
    task.is_of_process = true;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(tid);
  if (task.pidfd.ok() && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, task.pidfd.get(), &event) != 0)
    task.pidfd.reset();
  return task;
}

void Tasks::forget_locked(pid_t tid) {
  const auto at = tasks_.find(tid);
  if (at == tasks_.end()) return;
  tasks_.erase(at);
  std::erase_if(changes_, [tid](const Change& change) { return change.tid == tid; });
}

void Tasks::reap(pid_t tid) {
  execs_.fetch_add(1);
  if (ended_) ended_(tid);
  const schedule::Lock lock(mutex_);
  forget_locked(tid);
}

void Tasks::on_call(pid_t tid) {
  const schedule::Lock lock(mutex_);
  if (changes_.empty()) return;
  std::erase_if(changes_, [tid](const Change& change) { return change.tid == tid; });
}

void Tasks::on_change(pid_t tid, unsigned first, unsigned last) {
  const schedule::Lock lock(mutex_);
  (void)task_locked(tid);  // so that its death ends the change
  ++change_count_;
  changes_.push_back({tid, first, last});
  for (auto& [other, task] : tasks_)
    std::erase_if(task.numbers, [&](const auto& entry) {
      const auto number = static_cast<unsigned>(entry.first);
      return number >= first && number <= last;
    });
}

void Tasks::on_exec(pid_t tid) {
  execs_.fetch_add(1);
  on_change(tid, 0, INT_MAX);
}

bool Tasks::is_in(const std::vector<Change>& changes, int fd) {
  const auto number = static_cast<unsigned>(fd);
  return std::ranges::any_of(changes, [number](const Change& change) {
    return number >= change.first && number <= change.last;
  });
}

Lookup Tasks::look_in_proc(pid_t tid, int fd) {
  struct statx info{};
  const std::string path = proc_path(tid, "fd/" + std::to_string(fd));
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_INO, &info) != 0)
    return {errno == ENOENT ? Lookup::Kind::kClosed : Lookup::Kind::kForeign, nullptr};
  const dev_t device = makedev(info.stx_dev_major, info.stx_dev_minor);
  DeviceFileRef file = files_.find(device, info.stx_ino);
  if (!file) return {Lookup::Kind::kForeign, nullptr};
  return {Lookup::Kind::kOurs, std::move(file)};
}

Lookup Tasks::lookup(pid_t tid, int fd) {
  if (fd < 0) return {};
  std::uint64_t changes_before = 0;
  {
    const schedule::Lock lock(mutex_);
    Task& task = task_locked(tid);
    const auto known = task.numbers.find(fd);
    if (known != task.numbers.end()) {
      Lookup found{known->second.kind, known->second.file.lock()};
      if (found.kind == Lookup::Kind::kForeign || found.file) return found;
    }
    changes_before = change_count_;
  }
  Lookup found = look_in_proc(tid, fd);
  if (!is_watched(fd) || found.kind == Lookup::Kind::kClosed) return found;
  const schedule::Lock lock(mutex_);
  if (change_count_ != changes_before || is_in(changes_, fd)) return found;
  if (Task& task = task_locked(tid); task.pidfd.ok()) task.numbers[fd] = {found.kind, found.file};
  return found;
}

pid_t Tasks::process_of(pid_t tid) {
  const schedule::Lock lock(mutex_);
  return task_locked(tid).process;
}

bool Tasks::has_our_root(pid_t tid) {
  const schedule::Lock lock(mutex_);
  Task& task = task_locked(tid);
  if (task.our_root < 0) {
    const bool same = read_link(proc_path(tid, "root")) == "/" &&
                      read_link(proc_path(tid, "ns/mnt")) == read_link("/proc/self/ns/mnt");
    task.our_root = same ? 1 : 0;
  }
  return task.our_root == 1;
}

void Tasks::on_root_change() {
  const schedule::Lock lock(mutex_);
  for (auto& [tid, task] : tasks_) task.our_root = -1;
}

/// A process whose first thread has left by itself has no descriptors by its pidfd: ESRCH
/// (kernel/pid.c, __pidfd_fget() of a task that is PF_EXITING).
Result<Fd> Tasks::steal(pid_t tid, int fd) {
  const Fd pidfd(pidfd_open(process_of(tid), 0));
  Fd copy(pidfd.ok() ? pidfd_getfd(pidfd.get(), fd) : -1);
  if (!copy.ok() && errno == ESRCH)
    if (const Fd thread(pidfd_open(tid, kPidfdThread)); thread.ok())
      copy = Fd(pidfd_getfd(thread.get(), fd));
  if (!copy.ok()) return std::unexpected(last_error("the program's descriptor cannot be had"));
  return copy;
}

std::vector<Tasks::Change> Tasks::changes_of_table(pid_t tid) {
  const pid_t process = process_of(tid);
  std::vector<Change> changes;
  {
    const schedule::Lock lock(mutex_);
    changes = changes_;
  }
  std::erase_if(changes, [&](const Change& change) {
    return process_of(change.tid) != process &&
           ::syscall(SYS_kcmp, change.tid, tid, KCMP_FILES, 0, 0) != 0;
  });
  return changes;
}

Result<int> Tasks::free_number(pid_t tid, int from) {
  rlimit limit{};
  if (::prlimit(tid, RLIMIT_NOFILE, nullptr, &limit) != 0) limit.rlim_cur = 1024;
  const std::vector<Change> changes = changes_of_table(tid);
  std::optional<int> second_best;
  for (int number = from; static_cast<rlim_t>(number) < limit.rlim_cur; ++number) {
    const bool changes_now = is_in(changes, number);
    if (changes_now && second_best) continue;
    {
      const schedule::Lock lock(mutex_);
      if (task_locked(tid).numbers.contains(number)) continue;
    }
    const std::string path = proc_path(tid, "fd/" + std::to_string(number));
    if (::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) continue;
    if (!changes_now) return number;
    second_best = number;
  }
  // All are in the hands of another thread, which may be long: close_range() to the last.
  if (second_best) return *second_best;
  return fail(Errno::kMFile, "the program's RLIMIT_NOFILE leaves no number");
}

std::shared_ptr<const AddressSpace> Tasks::address_space(pid_t tid) {
  const pid_t process = process_of(tid);
  const std::uint64_t execs = exec_count();
  {
    const schedule::Lock lock(spaces_mutex_);
    const auto known = memories_.find(process);
    if (known != memories_.end() && known->second.execs == execs) return known->second.space;
  }
  auto space = std::make_shared<const AddressSpace>(tid);
  // Another time there may be a descriptor for it, or the program be dumpable.
  if (!space->maps().ok() || space->memory() == AddressSpace::Memory::kNone) return space;
  const schedule::Lock lock(spaces_mutex_);
  std::erase_if(memories_, [execs](const auto& entry) { return entry.second.execs != execs; });
  memories_.insert_or_assign(process, Memory{space, execs});
  return space;
}

Tasks::ExecMark Tasks::exec_mark(pid_t tid) {
  constexpr std::uint64_t kAtRandom = 25;
  const std::string auxv = read_file(proc_path(tid, "auxv"));
  ExecMark mark{};
  for (std::size_t at = 0; at + 16 <= auxv.size(); at += 16) {
    std::uint64_t pair[2];
    std::memcpy(pair, auxv.data() + at, sizeof(pair));
    if (pair[0] != kAtRandom) continue;
    (void)read_memory(tid, pair[1], std::as_writable_bytes(std::span(mark)));
  }
  return mark;
}

std::uint64_t Tasks::mm_id(pid_t tid) {
  const pid_t process = process_of(tid);
  ExecMark mark = exec_mark(tid);
  if (mark == ExecMark{}) mark = exec_mark(living_thread(process));
  const schedule::Lock lock(spaces_mutex_);
  std::erase_if(spaces_, [](const Space& space) { return is_gone(space.pidfd.get()); });
  std::uint64_t id = 0;
  for (const Space& space : spaces_) {
    if (space.mark != mark) continue;
    // A fork has the same mark, a vfork the same memory: the kernel knows.
    const bool same =
        space.process == process || ::syscall(SYS_kcmp, living_thread(process),
                                              living_thread(space.process), KCMP_VM, 0, 0) == 0;
    if (!same) continue;
    id = space.id;
    if (space.process == process) return id;
  }
  std::erase_if(spaces_, [process](const Space& s) { return s.process == process; });
  if (id == 0) id = next_space_++;
  spaces_.push_back({id, process, Fd(pidfd_open(process, 0)), mark});
  return id;
}

}  // namespace teeio::run
