#include "run/dispatch.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <sys/syscall.h>

#include <array>

#include "run/handles.h"
#include "run/permissions.h"
#include "run/plain_text.h"

namespace teeio::run {
namespace {

using enum Shape;

Reply on_open_file_only(Call&, const Row&) { return Reply::go_on(); }

constexpr Row kRows[] = {
    {SYS_ioctl, kIoctl, "ioctl", on_ioctl},
    {SYS_read, kRedirectedFd, "read", on_read},
    {SYS_write, kRedirectedFd, "write", on_write},
    {SYS_close, kRedirectedFd, "close", on_close},
    {SYS_mmap, kMmap, "mmap", on_mmap},
    {SYS_madvise, kCollapse, "madvise", on_madvise},
    {SYS_pread64, kPosition, "pread64", on_read},
    {SYS_pwrite64, kPosition, "pwrite64", on_write},
    {SYS_readv, kRedirectedFd, "readv", on_read},
    {SYS_writev, kRedirectedFd, "writev", on_write},
    {SYS_preadv, kVectorPosition, "preadv", on_read},
    {SYS_pwritev, kVectorPosition, "pwritev", on_write},
    {SYS_preadv2, kVectorPosition, "preadv2", on_read},
    {SYS_pwritev2, kVectorPosition, "pwritev2", on_write},
    {SYS_sendfile, kAlways, "sendfile", on_copy},
    {SYS_splice, kAlways, "splice", on_copy},
    {SYS_copy_file_range, kAlways, "copy_file_range", on_copy},
    {SYS_ftruncate, kOurFd, "ftruncate", on_resize},
    {SYS_fallocate, kOurFd, "fallocate", on_fallocate},
    {SYS_lseek, kOurFd, "lseek", on_lseek},
    {SYS_fsync, kOurFd, "fsync", on_sync},
    {SYS_fdatasync, kOurFd, "fdatasync", on_sync},

    {SYS_close_range, kAlways, "close_range", on_close_range},
    {SYS_dup, kOurFd, "dup", on_dup},
    {SYS_dup2, kNewFd, "dup2", on_dup_to},
    {SYS_dup3, kNewFd, "dup3", on_dup_to},
    {SYS_fcntl, kFcntl, "fcntl", on_fcntl},
    {SYS_eventfd2, kAlways, "eventfd2", on_eventfd},
    {SYS_eventfd, kAlways, "eventfd", on_eventfd},

    {SYS_openat, kAlways, "openat", on_open},
    {SYS_open, kAlways, "open", on_open},
    {SYS_openat2, kAlways, "openat2", on_open},
    {SYS_creat, kAlways, "creat", on_open},
    {SYS_fstat, kOurFd, "fstat", on_fstat},
    {SYS_newfstatat, kAlways, "newfstatat", on_stat},
    {SYS_stat, kAlways, "stat", on_stat},
    {SYS_lstat, kAlways, "lstat", on_stat},
    {SYS_statx, kAlways, "statx", on_statx},
    {SYS_access, kAlways, "access", on_access},
    {SYS_faccessat, kAlways, "faccessat", on_access},
    {439 /* faccessat2 */, kAlways, "faccessat2", on_access},
    {SYS_readlink, kAlways, "readlink", on_readlink},
    {SYS_readlinkat, kAlways, "readlinkat", on_readlink},

    {SYS_execve, kAlways, "execve", on_exec, -1, 0, Errno::kAcces, Follow::kYes},
    {SYS_execveat, kAlways, "execveat", on_exec, 0, 1, Errno::kAcces, Follow::kYes},
    {SYS_chdir, kAlways, "chdir", on_chdir},
    {SYS_getcwd, kAlways, "getcwd", on_getcwd},
    {SYS_chroot, kAlways, "chroot", on_root_change, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_pivot_root, kAlways, "pivot_root", on_root_change, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_unshare, kAlways, "unshare", on_root_change},
    {SYS_setns, kAlways, "setns", on_root_change},
    {SYS_mkdir, kAlways, "mkdir", on_refused_path, -1, 0, Errno::kPerm},
    {SYS_mkdirat, kAlways, "mkdirat", on_refused_path, 0, 1, Errno::kPerm},
    {SYS_rmdir, kAlways, "rmdir", on_refused_path, -1, 0, Errno::kPerm},
    {SYS_unlink, kAlways, "unlink", on_refused_path, -1, 0, Errno::kPerm},
    {SYS_unlinkat, kAlways, "unlinkat", on_refused_path, 0, 1, Errno::kPerm},
    {SYS_mknod, kAlways, "mknod", on_refused_path, -1, 0, Errno::kAcces},
    {SYS_mknodat, kAlways, "mknodat", on_refused_path, 0, 1, Errno::kAcces},
    {SYS_symlink, kAlways, "symlink", on_refused_path, -1, 1, Errno::kPerm},
    {SYS_symlinkat, kAlways, "symlinkat", on_refused_path, 1, 2, Errno::kPerm},
    {SYS_rename, kAlways, "rename", on_refused_pair, -1, 0, Errno::kPerm},
    {SYS_renameat, kAlways, "renameat", on_refused_pair, 0, 1, Errno::kPerm},
    {SYS_renameat2, kAlways, "renameat2", on_refused_pair, 0, 1, Errno::kPerm},
    {SYS_link, kAlways, "link", on_refused_pair, -1, 0, Errno::kPerm},
    {SYS_linkat, kAlways, "linkat", on_refused_pair, 0, 1, Errno::kPerm},
    {SYS_chmod, kAlways, "chmod", on_chmod, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_fchmodat, kAlways, "fchmodat", on_chmod, 0, 1, Errno::kPerm, Follow::kYes},
    {452 /* fchmodat2 */, kAlways, "fchmodat2", on_chmod, 0, 1, Errno::kPerm, Follow::kYes},
    {SYS_chown, kAlways, "chown", on_chown, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_lchown, kAlways, "lchown", on_chown, -1, 0, Errno::kPerm},
    {SYS_fchownat, kAlways, "fchownat", on_chown, 0, 1, Errno::kPerm},
    {SYS_utime, kAlways, "utime", on_utimes, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_utimes, kAlways, "utimes", on_utimes, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_futimesat, kAlways, "futimesat", on_utimes, 0, 1, Errno::kPerm, Follow::kYes},
    {SYS_utimensat, kAlways, "utimensat", on_utimes, 0, 1, Errno::kPerm, Follow::kYes},
    {SYS_truncate, kAlways, "truncate", on_truncate},
    {SYS_statfs, kAlways, "statfs", on_statfs},
    {SYS_fstatfs, kAlways, "fstatfs", on_fstatfs},
    {SYS_mount, kAlways, "mount", on_refused_path, -1, 1, Errno::kPerm, Follow::kYes},
    {SYS_umount2, kAlways, "umount2", on_refused_path, -1, 0, Errno::kPerm, Follow::kYes},
    {SYS_move_mount, kAlways, "move_mount", on_refused_pair, 0, 1, Errno::kPerm},
    {SYS_open_tree, kAlways, "open_tree", on_refused_path, 0, 1, Errno::kPerm, Follow::kYes},
    {SYS_name_to_handle_at, kAlways, "name_to_handle_at", on_refused_path, 0, 1, Errno::kOpNotSupp},
    {SYS_inotify_add_watch, kAlways, "inotify_add_watch", on_watch},
    {SYS_fanotify_mark, kAlways, "fanotify_mark", on_refused_path, 3, 4, Errno::kAcces,
     Follow::kYes},
    {SYS_getxattr, kAlways, "getxattr", on_no_xattr, -1, 0, Errno::kNoData, Follow::kYes},
    {SYS_lgetxattr, kAlways, "lgetxattr", on_no_xattr, -1, 0, Errno::kNoData},
    {SYS_listxattr, kAlways, "listxattr", on_no_xattrs, -1, 0, Errno::kOpNotSupp, Follow::kYes},
    {SYS_llistxattr, kAlways, "llistxattr", on_no_xattrs, -1, 0, Errno::kOpNotSupp},
    {SYS_setxattr, kAlways, "setxattr", on_refused_path, -1, 0, Errno::kOpNotSupp, Follow::kYes},
    {SYS_lsetxattr, kAlways, "lsetxattr", on_refused_path, -1, 0, Errno::kOpNotSupp},
    {SYS_removexattr, kAlways, "removexattr", on_refused_path, -1, 0, Errno::kOpNotSupp,
     Follow::kYes},
    {SYS_lremovexattr, kAlways, "lremovexattr", on_refused_path, -1, 0, Errno::kOpNotSupp},

    {SYS_clone, kAlways, "clone", on_new_process},
    {SYS_clone3, kAlways, "clone3", on_new_process},
    {SYS_fork, kAlways, "fork", on_new_process},
    {SYS_vfork, kAlways, "vfork", on_new_process},

    {SYS_kill, kEverybody, "kill", on_kill},

    {SYS_setuid, kAlways, "setuid", on_new_user},
    {SYS_setreuid, kAlways, "setreuid", on_new_user},
    {SYS_setresuid, kAlways, "setresuid", on_new_user},
    {SYS_setfsuid, kAlways, "setfsuid", on_new_user},

    // Only where a descriptor names a file and has not opened it: answer_of_handle().
    {SYS_getdents64, kOurFd, "getdents64", on_open_file_only},
    {SYS_getdents, kOurFd, "getdents", on_open_file_only},
    {SYS_fchmod, kOurFd, "fchmod", on_fchmod},
    {SYS_fchown, kOurFd, "fchown", on_fchown},
    {SYS_flock, kOurFd, "flock", on_open_file_only},
    {SYS_fgetxattr, kOurFd, "fgetxattr", on_open_file_only},
    {SYS_flistxattr, kOurFd, "flistxattr", on_open_file_only},
    {SYS_fsetxattr, kOurFd, "fsetxattr", on_open_file_only},
    {SYS_fremovexattr, kOurFd, "fremovexattr", on_open_file_only},

    // A ring would carry calls past the filter.
    {SYS_io_uring_setup, kAbsent, "io_uring_setup", nullptr},
    {SYS_io_uring_enter, kAbsent, "io_uring_enter", nullptr},
    {SYS_io_uring_register, kAbsent, "io_uring_register", nullptr},
};

}  // namespace

std::span<const Row> rows() { return kRows; }

std::vector<FilterRow> filter_rows(const FilterNeeds& needs) {
  std::vector<FilterRow> rows;
  for (const Row& row : kRows) {
    const bool wanted = row.answer == on_eventfd       ? !needs.steals
                        : row.answer == on_new_process ? needs.counts_processes
                        : row.answer == on_new_user    ? may_become_others()
                                                       : true;
    const Shape shape =
        needs.host_kvm && row.shape == Shape::kIoctl ? Shape::kIoctlHostKvm : row.shape;
    if (wanted) rows.push_back({row.number, shape});
  }
  return rows;
}

Reply dispatch(Call& call, const seccomp_data& data) {
  static const auto by_number = [] {
    std::array<const Row*, 512> table{};
    for (const Row& row : kRows) table.at(row.number) = &row;
    return table;
  }();
  const auto number = static_cast<std::uint32_t>(data.nr);
  if (data.arch != AUDIT_ARCH_X86_64 || number >= by_number.size()) {
    call.context().log.warn(call.tid(),
                            "a 32-bit or x32 system call was refused with ENOSYS: run a 64-bit "
                            "program");
    return Reply::of(Error{Errno::kNoSys, "a call of another ABI"});
  }
  const Row* row = by_number[number];
  if (row == nullptr || row->answer == nullptr) return Reply::go_on();
  Reply reply = row->answer(call, *row);
  if (reply.kind == Reply::Kind::kContinue && !reply.known)
    if (const auto handle = answer_of_handle(call, *row)) reply = *handle;
  const bool ours = reply.kind != Reply::Kind::kContinue;
  if (ours && call.description().empty() && call.context().log.traces_calls())
    call.describe_plainly(plain_text(call, *row));
  return reply;
}

}  // namespace teeio::run
