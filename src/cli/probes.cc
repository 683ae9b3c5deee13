#include "cli/probes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <span>

#include "run/device_files.h"
#include "run/event_fds.h"
#include "run/fd.h"
#include "run/read_memory.h"
#include "run/sys.h"

namespace teeio::cli {
namespace {

using run::Fd;

// Linux 6.6's addition to <linux/seccomp.h>.
constexpr unsigned long kSetFlags = _IOW(SECCOMP_IOC_MAGIC, 4, std::uint64_t);
constexpr unsigned long kSyncWakeUp = 1;

std::string error_text() { return std::strerror(errno); }  // NOLINT(concurrency-mt-unsafe)

long seccomp(unsigned operation, unsigned flags, void* argument) {
  return ::syscall(SYS_seccomp, operation, flags, argument);
}

/// Runs `body` in a child; its exit status comes back, or 255.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 255;
  return WEXITSTATUS(status);
}

/// A child that waits to be looked at, and ends with this object.
class Sleeper {
 public:
  Sleeper() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[1]);
      char byte = 0;
      (void)!::read(ends[0], &byte, 1);
      ::_exit(0);
    }
    ::close(ends[0]);
    hold_ = Fd(ends[1]);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    hold_ = Fd();
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  Fd hold_;
};

Finding kernel_version() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  (void)std::sscanf(name.release, "%d.%d", &major, &minor);
  return {"Linux 5.14 or later", Need::kRequired, major > 5 || (major == 5 && minor >= 14),
          name.release, "descriptors cannot be handed to the program race-free"};
}

Finding architecture() {
  utsname name{};
  ::uname(&name);
  return {"x86-64", Need::kRequired, std::strcmp(name.machine, "x86_64") == 0, name.machine,
          "the filter knows this architecture's system calls only"};
}

Finding user_notification() {
  std::uint32_t action = SECCOMP_RET_USER_NOTIF;
  const bool present = seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
  return {"seccomp user notification", Need::kRequired, present, present ? "" : error_text(),
          "the program's calls cannot be answered"};
}

// What the child that installs a filter found, as bits of its exit status.
constexpr int kNoFilter = 1, kNoSyncWakeUp = 2, kSecondListener = 4;

/// An allow-all filter with a listener, in a child, since it can never be removed.
int try_listener() {
  sock_filter allow{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = SECCOMP_RET_ALLOW};
  sock_fprog program{.len = 1, .filter = &allow};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const long listener =
      seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0) return errno == EBUSY ? kNoFilter | kSecondListener : kNoFilter;
  return ::ioctl(static_cast<int>(listener), kSetFlags, kSyncWakeUp) == 0 ? 0 : kNoSyncWakeUp;
}

std::vector<Finding> listeners() {
  const int found = in_child(try_listener);
  const bool listener = (found & kNoFilter) == 0;
  const bool taken = found != 255 && (found & kSecondListener) != 0;
  return {
      {"a filter of our own", Need::kRequired, listener,
       taken ? "a filter with a listener is there already (EBUSY)" : "",
       "this process is inside of another supervisor, perhaps another teeio run"},
      {"synchronous wake-up (Linux 6.6)", Need::kHelpful, listener && (found & kNoSyncWakeUp) == 0,
       "", "each trapped call may take tens of microseconds instead of about five"}};
}

/// With the flag unknown the answer is EINVAL; else it is the null program's EFAULT.
Finding wait_killable() {
  (void)seccomp(SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, nullptr);
  return {"WAIT_KILLABLE_RECV (Linux 5.19)", Need::kHelpful, errno == EFAULT, "",
          "a signal may interrupt a call that was already begun, and it is begun again"};
}

Finding tmpfs() {
  const std::string path = run::find_tmpfs();
  return {"a tmpfs with O_TMPFILE, not full", Need::kRequired, !path.empty(), path,
          "device descriptors have no file to stand on; mount a tmpfs on /dev/shm or /tmp"};
}

/// The whole way of a last close: an unlinked file, watched, opened again, closed.
Finding inotify() {
  Finding out{"inotify on unlinked files", Need::kRequired, false, "",
              "the last close of a device cannot be seen"};
  const std::string directory = run::find_tmpfs();
  const Fd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string path = fmt::format("/proc/self/fd/{}", file.get());
  if (!file.ok() || !watch.ok() || ::inotify_add_watch(watch.get(), path.c_str(), IN_CLOSE) < 0) {
    out.detail = error_text();
    return out;
  }
  {
    const Fd again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  }
  pollfd news{.fd = watch.get(), .events = POLLIN, .revents = 0};
  out.present = ::poll(&news, 1, 0) == 1;
  return out;
}

const int kWord = 0x7ee10;  ///< what a child has in its memory, too

Finding program_memory() {
  const Sleeper child;
  int word = 0;
  const auto address = reinterpret_cast<std::uintptr_t>(&kWord);
  const bool present =
      run::read_memory(child.pid(), address, std::as_writable_bytes(std::span(&word, 1))) ==
          sizeof(word) &&
      word == kWord;
  return {"memory of descendants", Need::kRequired, present, present ? "" : error_text(),
          "the arguments of calls cannot be read"};
}

Finding process_vm_readv() {
  const Sleeper child;
  int word = 0;
  const iovec here{&word, sizeof(word)};
  const iovec there{const_cast<int*>(&kWord), sizeof(kWord)};
  const bool present = ::process_vm_readv(child.pid(), &here, 1, &there, 1, 0) == sizeof(word);
  return {"process_vm_readv", Need::kHelpful, present, present ? "" : error_text(),
          "memory is read by /proc/PID/mem, which takes longer; docker needs --cap-add=SYS_PTRACE"};
}

Finding ptrace_scope() {
  const std::string text = run::read_file("/proc/sys/kernel/yama/ptrace_scope");
  const bool present = text.empty() || text[0] <= '1';
  return {"Yama's ptrace_scope at most 1", Need::kHelpful, present,
          text.empty() ? "no Yama" : text.substr(0, 1),
          "without CAP_SYS_PTRACE the program's memory is out of reach"};
}

Finding pidfd_getfd() {
  const Sleeper child;
  const Fd pidfd(run::pidfd_open(child.pid(), 0));
  const Fd copy(pidfd.ok() ? run::pidfd_getfd(pidfd.get(), 2) : -1);
  return {"pidfd_getfd", Need::kHelpful, copy.ok(), copy.ok() ? "" : error_text(),
          "an eventfd from outside of the run is no interrupt's, inotify has nothing of /sys, and "
          "--host-kvm does not work; docker needs --cap-add=SYS_PTRACE"};
}

Finding sub_reaper() {
  const bool present =
      in_child([] { return ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : 1; }) == 0;
  return {"child sub-reaper", Need::kRequired, present, "",
          "programs that daemonise escape, and their memory with them"};
}

Finding host_kvm() {
  const std::string problem = host_kvm_problem();
  return {"this host's KVM", Need::kHelpful, problem.empty(), problem,
          "`teeio run --host-kvm` has no KVM to run vCPUs on"};
}

}  // namespace

std::string host_kvm_problem() {
  const Fd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm.ok()) return "/dev/kvm: " + error_text();
  if (::ioctl(kvm.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) return "/dev/kvm is not KVM's";
  // Which VM it is that the program means is asked of its descriptor.
  return run::can_steal_descriptors() ? "" : "pidfd_getfd: docker needs --cap-add=SYS_PTRACE";
}

std::vector<Finding> probe_kernel() {
  std::vector<Finding> out{kernel_version(), architecture(), user_notification()};
  for (Finding& finding : listeners()) out.push_back(std::move(finding));
  for (auto* probe : {wait_killable, tmpfs, inotify, program_memory, process_vm_readv, ptrace_scope,
                      pidfd_getfd, sub_reaper, host_kvm})
    out.push_back(probe());
  return out;
}

}  // namespace teeio::cli
