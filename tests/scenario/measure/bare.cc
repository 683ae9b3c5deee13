// bare PROGRAM ARGS: the least that a supervisor can do, to measure against:
// receives, answers DUMMY_ECHO with one read and one write of memory, refuses
// other ioctls of type ';', continues every openat.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "programs/check.h"

static int install_filter() {
  const unsigned notify = SECCOMP_RET_USER_NOTIF;
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 5, 0, SYS_openat},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_ioctl},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args) + 8},
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xff00},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ';' << 8},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      {BPF_RET | BPF_K, 0, 0, notify},
  };
  const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  return static_cast<int>(
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
              SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program));
}

static void answer(int listener, const seccomp_notif& call) {
  seccomp_notif_resp reply = {call.id, 0, 0, 0};
  if (call.data.nr == SYS_openat) {
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else if (call.data.args[1] == DUMMY_ECHO) {
    dummy_pair pair = {};
    const iovec here = {&pair, sizeof(pair)};
    const iovec there = {reinterpret_cast<void*>(call.data.args[2]), sizeof(pair)};
    const pid_t pid = static_cast<pid_t>(call.pid);
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0) reply.error = -EFAULT;
    pair.out = pair.in + 1;
    if (process_vm_writev(pid, &here, 1, &there, 1, 0) < 0) reply.error = -EFAULT;
  } else {
    reply.error = -ENOTTY;
  }
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

int main(int, char** argv) {
  int ready[2];
  int taken[2];  // closed once the listener is ours: exec closes the child's
  int listener = -1;
  char none;
  CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(taken, O_CLOEXEC) == 0);
  const pid_t child = fork();
  if (child == 0) {
    listener = install_filter();
    CHECK(write(ready[1], &listener, sizeof(listener)) == sizeof(listener));
    close(taken[1]);
    CHECK(read(taken[0], &none, 1) == 0);
    execv(argv[1], argv + 1);
    _exit(1);
  }
  CHECK(read(ready[0], &listener, sizeof(listener)) == sizeof(listener));
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  const int ours = static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, listener, 0));
  CHECK(ours >= 0 && close(taken[1]) == 0);
  ioctl(ours, _IOW('!', 4, uint64_t), 1UL);  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
  for (;;) {
    seccomp_notif call = {};
    if (ioctl(ours, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0)
      answer(ours, call);
    else if (waitpid(child, nullptr, WNOHANG) == child)
      return 0;
  }
}
