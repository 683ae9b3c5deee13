#include "run/handles.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <array>
#include <charconv>

#include "run/sys.h"

namespace teeio::run {
namespace {

static_assert(kHandleMark == O_NOATIME);

/// The arguments of a call that must be open files; -1: none.
std::array<int, 2> open_arguments(std::uint32_t number) {
  switch (number) {
    case SYS_mmap:
      return {4, -1};
    case SYS_sendfile:
      return {0, 1};
    case SYS_splice:
    case SYS_copy_file_range:
      return {0, 2};
    case SYS_ioctl:
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_preadv2:
    case SYS_pwritev2:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_lseek:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_getdents64:
    case SYS_getdents:
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_flock:
    case SYS_fgetxattr:
    case SYS_flistxattr:
    case SYS_fsetxattr:
    case SYS_fremovexattr:
    case SYS_fcntl:
      return {0, -1};
    default:
      return {-1, -1};
  }
}

/// Linux: check_fcntl_cmd().
bool works_on_handles(int command) {
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD ||
         command == F_SETFD || command == F_GETFL;
}

/// "flags:\t0100000" of /proc/<tid>/fdinfo/<fd>.
std::uint32_t flags_of(pid_t tid, int fd) {
  constexpr std::string_view kFlags = "flags:\t";
  const std::string text = read_file(proc_path(tid, "fdinfo/" + std::to_string(fd)));
  std::uint32_t flags = 0;
  if (const std::size_t at = text.find(kFlags); at != std::string::npos)
    (void)std::from_chars(text.data() + at + kFlags.size(), text.data() + text.size(), flags, 8);
  return flags;
}

/// As F_GETFL has them; nullopt: none of ours, or an open file.
std::optional<std::uint32_t> handle_flags(Call& call, int fd) {
  const std::string real = read_link(proc_path(call.tid(), "fd/" + std::to_string(fd)));
  const PrivateTree& tree = call.context().tree;
  if (!tree.virtual_path(real)) return std::nullopt;
  const std::uint32_t flags = flags_of(call.tid(), fd);
  if (!tree.is_handle(real) && (flags & kHandleMark) == 0) return std::nullopt;
  // Linux: build_open_how(), O_PATH_FLAGS.
  return O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW));
}

}  // namespace

std::optional<Reply> answer_of_handle(Call& call, const Row& row) {
  for (const int argument : open_arguments(row.number)) {
    if (argument < 0) continue;
    const int fd = call.int_arg(static_cast<unsigned>(argument));
    if (fd < kFirstFd) continue;  // handles have numbers like our files
    if (call.ours(fd)) continue;
    const auto flags = handle_flags(call, fd);
    if (!flags) continue;
    if (row.number == SYS_fcntl && call.int_arg(1) == F_GETFL)
      return Reply::of(static_cast<std::int64_t>(*flags));
    if (row.number == SYS_fcntl && works_on_handles(call.int_arg(1))) continue;
    return Reply::of(Error{Errno::kBadF, "the descriptor names a file and has not opened it"});
  }
  return std::nullopt;
}

}  // namespace teeio::run
