#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "run/dispatch.h"
#include "run/permissions.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// The two layouts in which a program asks for the same facts.
/// Type and size are the machine's. Owner, times and, of a file that has a name, permissions are
/// the real file's, where chmod and chown leave them.
constexpr std::uint32_t kPermissions = 07777;

std::uint32_t mode_of(std::uint32_t real, std::uint32_t facts, bool named) {
  return named ? (facts & ~kPermissions) | (real & kPermissions) : facts;
}
void patch(struct stat& info, const entry::FileStat& facts, bool named) {
  info.st_mode = mode_of(info.st_mode, facts.mode, named);
  info.st_rdev = facts.rdev;
  info.st_size = static_cast<off_t>(facts.size);
  info.st_blocks = 0;
}
void patch(struct statx& info, const entry::FileStat& facts, bool named) {
  info.stx_mode = static_cast<std::uint16_t>(mode_of(info.stx_mode, facts.mode, named));
  info.stx_rdev_major = major(facts.rdev);
  info.stx_rdev_minor = minor(facts.rdev);
  info.stx_size = facts.size;
  info.stx_blocks = 0;
}
bool real_stat(int directory, const char* path, int flags, struct stat& info) {
  return ::fstatat(directory, path, &info, flags) == 0;
}
bool real_stat(int directory, const char* path, int flags, struct statx& info) {
  return ::statx(directory, path, flags, STATX_BASIC_STATS, &info) == 0;
}

template <class Stat>
Reply answer(Call& call, const Stat& info, std::uint64_t to) {
  return Reply::of(call.memory().write(to, bytes_of(info)));
}

template <class Stat>
Reply stat_file(Call& call, const DeviceFile& file, std::uint64_t to) {
  Stat info{};
  // What was opened by a path is one file with what the path shows.
  const bool named =
      file.name.starts_with('/') && call.context().tree.find(file.name).has_value() &&
      real_stat(call.context().tree.root(), file.name.c_str() + 1, AT_SYMLINK_NOFOLLOW, info);
  if (!named) (void)real_stat(file.backing->fd.get(), "", AT_EMPTY_PATH, info);
  patch(info, call.context().machine.stat(*file.file), named);
  return answer(call, info, to);
}

template <class Stat>
Reply stat_node(Call& call, const std::string& path, std::uint64_t to) {
  using Type = PrivateTree::Node::Type;
  const auto node = call.context().tree.find(path);
  if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
  Stat info{};
  const int root = call.context().tree.root();
  if (!real_stat(root, path.c_str() + 1, AT_SYMLINK_NOFOLLOW, info))
    return Reply::of(last_error("the private tree lost a file"));
  if (node->type == Type::kAttribute || node->type == Type::kDevice) patch(info, node->stat, true);
  return answer(call, info, to);
}

template <class Stat>
Reply stat_elsewhere(Call& call, const std::string& path, int flags, std::uint64_t to) {
  Stat info{};
  if (!real_stat(AT_FDCWD, path.c_str(), flags & AT_SYMLINK_NOFOLLOW, info))
    return Reply::of(last_error("the host refuses the file"));
  return answer(call, info, to);
}

/// A *at() call's path, or its descriptor with AT_EMPTY_PATH.
Result<Place> named_or_descriptor(Call& call, int directory, std::uint64_t path, int flags) {
  if ((flags & AT_EMPTY_PATH) != 0) {
    std::byte first{};
    const bool empty =
        path == 0 || (call.memory().read(path, std::span(&first, 1)) && first == std::byte{0});
    if (empty) return call.context().paths.descriptor(call.tid(), directory);
  }
  const bool stays = (flags & AT_SYMLINK_NOFOLLOW) != 0;
  return place_of(call, directory, path, stays ? Follow::kNo : Follow::kYes);
}

/// What a stat of a name looks at: the link of /proc/PID/fd is one, not what it leads to.
Result<Place> stat_target(Call& call, int directory, std::uint64_t path, int flags) {
  auto place = named_or_descriptor(call, directory, path, flags);
  const bool link = (flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) == AT_SYMLINK_NOFOLLOW;
  if (place && link && place->kind == Place::Kind::kDescriptor) return Place{};
  return place;
}

template <class Stat>
Reply stat_place(Call& call, const Result<Place>& place, int flags, std::uint64_t to) {
  if (!place) return Reply::of(place.error());
  switch (place->kind) {
    case Place::Kind::kHost:
      return Reply::go_on();
    case Place::Kind::kVirtual:
      return stat_node<Stat>(call, place->path, to);
    case Place::Kind::kElsewhere:
      return stat_elsewhere<Stat>(call, place->path, flags, to);
    case Place::Kind::kDescriptor:
      break;
  }
  return stat_file<Stat>(call, *place->file, to);
}

}  // namespace

Reply on_fstat(Call& call, const Row&) {
  return stat_place<struct stat>(call, call.context().paths.descriptor(call.tid(), call.int_arg(0)),
                                 0, call.arg(1));
}

Reply on_stat(Call& call, const Row& row) {
  if (row.number == SYS_newfstatat)
    return stat_place<struct stat>(call,
                                   stat_target(call, call.int_arg(0), call.arg(1), call.int_arg(3)),
                                   call.int_arg(3), call.arg(2));
  const int flags = row.number == SYS_lstat ? AT_SYMLINK_NOFOLLOW : 0;
  return stat_place<struct stat>(call, stat_target(call, AT_FDCWD, call.arg(0), flags), flags,
                                 call.arg(1));
}

Reply on_statx(Call& call, const Row&) {
  return stat_place<struct statx>(call,
                                  stat_target(call, call.int_arg(0), call.arg(1), call.int_arg(2)),
                                  call.int_arg(2), call.arg(4));
}

Reply on_access(Call& call, const Row& row) {
  const bool plain = row.number == SYS_access;
  const int flags = row.number == 439 ? call.int_arg(3) : 0;
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Reply::go_on();
  const auto place = plain ? named_or_descriptor(call, AT_FDCWD, call.arg(0), 0)
                           : named_or_descriptor(call, call.int_arg(0), call.arg(1), flags);
  if (!place) return Reply::of(place.error());
  if (place->kind == Place::Kind::kHost) return Reply::go_on();
  const int mode = call.int_arg(plain ? 1 : 2);
  if (place->kind == Place::Kind::kElsewhere)
    return ::faccessat(AT_FDCWD, place->path.c_str(), mode, flags & AT_SYMLINK_NOFOLLOW) == 0
               ? Reply::of(std::int64_t{0})
               : Reply::of(last_error("the host refuses the file"));
  const auto node = call.context().tree.find(place->path);
  if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
  const int root = call.context().tree.root();
  if (::faccessat(root, place->path.c_str() + 1, mode, AT_SYMLINK_NOFOLLOW) != 0)
    return Reply::of(last_error("the access is not allowed"));
  if (node->type != PrivateTree::Node::Type::kSymlink)
    if (const auto may =
            check_permission(call, place->path.c_str() + 1, static_cast<unsigned>(mode));
        !may)
      return Reply::of(may);
  return Reply::of(std::int64_t{0});
}

/// Linux kernfs_iop_setattr() takes any size and keeps none.
Reply on_truncate(Call& call, const Row&) {
  const auto place = place_of(call, AT_FDCWD, call.arg(0), Follow::kYes);
  if (!place) return Reply::of(place.error());
  if (place->kind == Place::Kind::kHost) return Reply::go_on();
  const auto node = call.context().tree.find(place->path);
  if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
  using Type = PrivateTree::Node::Type;
  if (node->type == Type::kDirectory)
    return Reply::of(Error{Errno::kIsDir, "a directory has no size"});
  if (node->type != Type::kAttribute)
    return Reply::of(Error{Errno::kInval, "a device has no size"});
  return Reply::of(std::int64_t{0});
}

Reply on_readlink(Call& call, const Row& row) {
  const bool plain = row.number == SYS_readlink;
  const auto place = plain ? place_of(call, AT_FDCWD, call.arg(0), Follow::kNo)
                           : named_or_descriptor(call, call.int_arg(0), call.arg(1),
                                                 AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
  if (!place) return Reply::of(place.error());
  std::string text;
  if (place->kind == Place::Kind::kHost && place->path.empty()) return Reply::go_on();
  if (place->kind == Place::Kind::kHost) {
    text = place->path;  // a link in /proc
  } else if (place->kind == Place::Kind::kDescriptor) {
    text = place->file->name;
  } else if (place->kind == Place::Kind::kElsewhere) {
    text = read_link(place->path);
    if (text.empty()) return Reply::of(last_error("the host refuses the link"));
  } else {
    const auto node = call.context().tree.find(place->path);
    if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
    if (node->type != PrivateTree::Node::Type::kSymlink)
      return Reply::of(Error{Errno::kInval, "not a symbolic link"});
    text = node->target;
  }
  const std::uint64_t to = call.arg(plain ? 1 : 2);
  const int room = call.int_arg(plain ? 2 : 3);
  if (room <= 0) return Reply::of(Error{Errno::kInval, "no room for the link's text"});
  text.resize(std::min(text.size(), static_cast<std::size_t>(room)));
  const auto written = call.memory().write(to, std::as_bytes(std::span(text)));
  return written ? Reply::of(static_cast<std::int64_t>(text.size())) : Reply::of(written.error());
}

}  // namespace teeio::run
