#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <optional>

#include "run/dispatch.h"
#include "run/permissions.h"
#include "run/sys.h"

// Permissions, owner and times of a file of the tree. As in kernfs (Linux fs/kernfs/inode.c,
// kernfs_iop_setattr()) they are kept as long as the file is there: here the file of the
// private tree keeps them, which stat and access look at.

namespace teeio::run {
namespace {

using Times = std::array<timespec, 2>;

/// Runs `change` on the real file behind a place of the tree; other places are the host's. An
/// open file is the one that it was opened by.
template <class Change>
Reply change_at(Call& call, const Place& place, Change change) {
  const bool opened = place.kind == Place::Kind::kDescriptor && place.file->name.starts_with('/');
  if (place.kind != Place::Kind::kVirtual && !opened) return Reply::go_on();
  const std::string& path = opened ? place.file->name : place.path;
  PrivateTree& tree = call.context().tree;
  const auto node = tree.find(path);
  if (!node) return opened ? Reply::go_on() : Reply::of(Error{Errno::kNoEnt, "not in the tree"});
  const char* const relative = path.c_str() + 1;
  if (const auto allowed = check_owner(call, relative); !allowed) return Reply::of(allowed);
  if (change(tree.root(), relative, node->type == PrivateTree::Node::Type::kSymlink) != 0)
    return Reply::of(last_error("the file takes no such change"));
  return Reply::of(std::int64_t{0});
}

template <class Change>
Reply change_named(Call& call, int directory, std::uint64_t path, Follow follow, Change change) {
  if (path == 0) return Reply::go_on();  // futimens(): a descriptor, no path
  const auto place = place_of(call, directory, path, follow);
  return place ? change_at(call, *place, change) : Reply::of(place.error());
}

/// Of a descriptor that only names a file nothing can be changed: answer_of_handle().
template <class Change>
Reply change_open(Call& call, Change change) {
  const Place place = call.context().paths.descriptor(call.tid(), call.int_arg(0));
  return place.kind == Place::Kind::kDescriptor ? change_at(call, place, change) : Reply::go_on();
}

auto new_mode(std::uint32_t mode) {
  return [mode = static_cast<mode_t>(mode & 07777U)](int root, const char* path, bool link) {
    if (!link) return ::fchmodat(root, path, mode, 0);
    errno = EOPNOTSUPP;  // of a symbolic link itself
    return -1;
  };
}

auto new_owner(std::uint32_t user, std::uint32_t group) {
  return [user, group](int root, const char* path, bool) {
    return ::fchownat(root, path, user, group, AT_SYMLINK_NOFOLLOW);
  };
}

Follow follow_of(int flags) {
  return (flags & AT_SYMLINK_NOFOLLOW) != 0 ? Follow::kNo : Follow::kYes;
}

timespec of_microseconds(const timeval& time) {
  return {.tv_sec = time.tv_sec, .tv_nsec = time.tv_usec * 1000};
}

/// The times that a call gives; nullopt: now.
Result<std::optional<Times>> times_of(Call& call, std::uint32_t number, std::uint64_t address) {
  if (address == 0) return std::nullopt;
  Times times{};
  if (number == SYS_utimensat) {
    TEEIO_TRY(call.memory().read(address, writable_bytes_of(times)));
  } else if (number == SYS_utime) {
    std::array<std::int64_t, 2> seconds{};
    TEEIO_TRY(call.memory().read(address, writable_bytes_of(seconds)));
    for (std::size_t i = 0; i < 2; ++i) times.at(i).tv_sec = seconds.at(i);
  } else {
    std::array<timeval, 2> given{};
    TEEIO_TRY(call.memory().read(address, writable_bytes_of(given)));
    for (std::size_t i = 0; i < 2; ++i) times.at(i) = of_microseconds(given.at(i));
  }
  return times;
}

}  // namespace

Reply on_chmod(Call& call, const Row& row) {
  const bool plain = row.number == SYS_chmod;
  const int flags = row.number == 452 ? call.int_arg(3) : 0;
  return change_named(call, plain ? AT_FDCWD : call.int_arg(0), call.arg(plain ? 0 : 1),
                      follow_of(flags), new_mode(call.word_arg(plain ? 1 : 2)));
}

Reply on_chown(Call& call, const Row& row) {
  const bool at = row.number == SYS_fchownat;
  const unsigned first = at ? 2 : 1;
  int flags = row.number == SYS_lchown ? AT_SYMLINK_NOFOLLOW : 0;
  if (at) flags = call.int_arg(4);
  return change_named(call, at ? call.int_arg(0) : AT_FDCWD, call.arg(at ? 1 : 0), follow_of(flags),
                      new_owner(call.word_arg(first), call.word_arg(first + 1)));
}

Reply on_fchmod(Call& call, const Row&) { return change_open(call, new_mode(call.word_arg(1))); }

Reply on_fchown(Call& call, const Row&) {
  return change_open(call, new_owner(call.word_arg(1), call.word_arg(2)));
}

Reply on_utimes(Call& call, const Row& row) {
  const bool at = row.number == SYS_utimensat || row.number == SYS_futimesat;
  const auto times = times_of(call, row.number, call.arg(at ? 2 : 1));
  if (!times) return Reply::go_on();  // the kernel gives the error
  const int flags = row.number == SYS_utimensat ? call.int_arg(3) : 0;
  return change_named(call, at ? call.int_arg(0) : AT_FDCWD, call.arg(at ? 1 : 0), follow_of(flags),
                      [&times](int root, const char* path, bool) {
                        return ::utimensat(root, path, *times ? (*times)->data() : nullptr,
                                           AT_SYMLINK_NOFOLLOW);
                      });
}

}  // namespace teeio::run
