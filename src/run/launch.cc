#include "run/launch.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "run/dispatch.h"
#include "run/event_fds.h"

namespace teeio::run {
namespace {

/// One int (an errno) and, if it is 0, one descriptor.
union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

void send_listener(int socket, int listener, int error) {
  iovec data{&error, sizeof(error)};
  Control control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (listener >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &listener, sizeof(listener));
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
}

Fd receive_listener(int socket, int& error) {
  iovec data{&error, sizeof(error)};
  Control control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof(control);
  error = EPIPE;
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof(error)) return Fd();
  int listener = -1;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr)
    std::memcpy(&listener, CMSG_DATA(header), sizeof(listener));
  return Fd(listener);
}

int install_filter(const sock_fprog& program) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  constexpr unsigned long kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  const long killable = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                  kListener | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (killable >= 0 || errno != EINVAL) return static_cast<int>(killable);
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kListener, &program));
}

/// Between fork and exec: nothing here allocates or locks.
[[noreturn]] void become(char* const* arguments, const sock_fprog& program, int socket,
                         const ProcessState& process, const rlimit& files) {
  const int listener = install_filter(program);
  send_listener(socket, listener, listener < 0 ? errno : 0);
  if (listener < 0) ::_exit(125);
  ::setrlimit(RLIMIT_NOFILE, &files);
  process.restore_signals();
  ::execvp(arguments[0], arguments);
  const int error = errno;
  const iovec text[] = {
      {const_cast<char*>("teeio: "), 7},
      {arguments[0], std::strlen(arguments[0])},
      {const_cast<char*>(": "), 2},
      {const_cast<char*>(::strerrordesc_np(error)), std::strlen(::strerrordesc_np(error))},
      {const_cast<char*>("\n"), 1}};
  (void)!::writev(STDERR_FILENO, text, 5);
  ::_exit(error == ENOENT ? 127 : 126);
}

std::string problem_of(int error) {
  if (error == EBUSY)
    return "this process already runs under `teeio run` or another supervisor of system calls; "
           "the kernel allows one";
  if (error == EPIPE) return "the program's process died before it was set up";
  return std::string("the kernel refuses the system call filter: ") + ::strerrordesc_np(error);
}

/// Our own descriptors grow with the program's: take what we may.
rlimit raise_file_limit() {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit raised = before;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  return before;
}

}  // namespace

Launched launch(const std::vector<std::string>& command, const ProcessState& process,
                LaunchOptions options) {
  std::vector<sock_filter> code =
      build_filter(filter_rows({.steals = can_steal_descriptors(),
                                .counts_processes = options.limits_processes,
                                .host_kvm = options.host_kvm}));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return {-1, Fd(), "no socket can be made"};
  Fd ours(pair[0]);
  Fd theirs(pair[1]);
  const rlimit files = raise_file_limit();
  const pid_t pid = ::fork();
  if (pid == 0 && options.dies_with_us) (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (pid == 0 && options.own_session) (void)::setsid();
  if (pid == 0) become(arguments.data(), program, theirs.get(), process, files);
  theirs.reset();
  if (pid < 0) return {-1, Fd(), "no process can be made"};
  int error = 0;
  Launched launched{pid, receive_listener(ours.get(), error), {}};
  if (launched.listener.ok()) return launched;
  ::waitpid(pid, nullptr, 0);
  launched.problem = problem_of(error);
  return launched;
}

}  // namespace teeio::run
