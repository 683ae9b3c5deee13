// confined PROGRAM ARGS: runs it where the calls are forbidden that Docker's default profile has
// for CAP_SYS_PTRACE alone (moby, profiles/seccomp/default_linux.go).
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

int main(int, char** argv) {
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, SYS_pidfd_getfd},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_process_vm_readv},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_process_vm_writev},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_kcmp},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 1;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 1;
  execv(argv[1], argv + 1);
  return 1;
}
