#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <tuple>

#include "base/types.h"
#include "run/dispatch.h"
#include "run/permissions.h"
#include "run/sys.h"
#include "run/words.h"

namespace teeio::run {
namespace {

constexpr std::size_t kSnapshot = 4096;  // bytes of a text attribute, at most a page

struct Open {
  int directory = AT_FDCWD;
  std::uint64_t path = 0;  ///< address
  std::uint32_t flags = 0;
  std::uint32_t mode = 0;
  std::uint64_t limits = 0;  ///< openat2's RESOLVE_*
};

/// The struct of an openat2(), which the kernel itself is asked about: its size, its flags, its
/// mode (Linux fs/open.c, do_sys_openat2() and build_open_flags(), before any name is looked at).
Result<Open> extended_open_of(Call& call) {
  const std::uint64_t size = call.arg(3);
  if (size > kPageSize) return fail(Errno::kTooBig, "the struct is longer than a page");
  Bytes bytes(std::max<std::uint64_t>(size, sizeof(open_how)));
  TEEIO_TRY(call.memory().read(call.arg(2), std::span(bytes).first(size)));
  // An empty name is ENOENT, and comes after all that is looked at here.
  if (::syscall(SYS_openat2, AT_FDCWD, "", bytes.data(), size) >= 0 || errno != ENOENT)
    return std::unexpected(last_error("openat2() does not take this struct"));
  open_how how{};
  std::memcpy(&how, bytes.data(), sizeof(how));
  return Open{call.int_arg(0), call.arg(1), static_cast<std::uint32_t>(how.flags),
              static_cast<std::uint32_t>(how.mode), how.resolve};
}

Result<Open> open_of(Call& call, std::uint32_t number) {
  switch (number) {
    case SYS_open:
      return Open{AT_FDCWD, call.arg(0), call.word_arg(1), call.word_arg(2)};
    case SYS_creat:
      return Open{AT_FDCWD, call.arg(0), O_CREAT | O_WRONLY | O_TRUNC, call.word_arg(1)};
    case SYS_openat:
      return Open{call.int_arg(0), call.arg(1), call.word_arg(2), call.word_arg(3)};
    default:
      return extended_open_of(call);
  }
}

/// What open(2) does with O_PATH: of the other flags only these mean anything.
Reply open_handle(Call& call, const PrivateTree::Node& node, std::uint32_t flags) {
  using Type = PrivateTree::Node::Type;
  if ((flags & O_DIRECTORY) != 0 && node.type != Type::kDirectory)
    return Reply::of(Error{Errno::kNotDir, "not a directory"});
  auto opened = call.context().tree.open_handle(node, flags);
  if (!opened) return Reply::of(opened.error());
  return Reply::of(call.give(std::move(*opened), flags, Call::Numbers::kOurs, kFirstFd));
}

/// A file of the host that was named from inside the tree.
Reply open_elsewhere(Call& call, const std::string& path, const Open& open) {
  int flags = static_cast<int>(open.flags) | O_CLOEXEC;
  if ((flags & O_CREAT) != 0) {
    call.context().log.warn(call.tid(),
                            "open(\"" + path +
                                "\"): a new file of the host cannot be "
                                "named from inside the emulated tree: refused with EACCES");
    return Reply::of(Error{Errno::kAcces, "a new file, named from inside of the emulated tree"});
  }
  // The kernel hands over no O_PATH file; a directory serves as well when it can be read.
  if ((flags & O_PATH) != 0) flags &= ~O_PATH;
  Fd opened(::open(path.c_str(), flags));
  if (!opened.ok()) return Reply::of(last_error("the host refuses the file"));
  return Reply::of(call.give(std::move(opened), open.flags, Call::Numbers::kLowest, 0));
}

/// /proc/<pid>/status of a process that is charged for pages: as it is now.
Reply open_status(Call& call, const std::string& path, std::uint32_t flags) {
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_PATH) != 0) return Reply::go_on();
  pid_t pid = 0;
  const std::size_t number = path.rfind('/', path.rfind('/') - 1) + 1;
  (void)std::from_chars(path.data() + number, path.data() + path.size(), pid);
  const auto text = call.context().accounts.status(path, pid);
  if (!text) return Reply::go_on();
  Fd file(::memfd_create("status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool written =
      file.ok() && ::write(file.get(), text->data(), text->size()) == std::ssize(*text) &&
      ::lseek(file.get(), 0, SEEK_SET) == 0 &&
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0;
  if (!written) return Reply::of(last_error("no copy of the process's status can be made"));
  return Reply::of(call.give(std::move(file), flags, Call::Numbers::kLowest, 0));
}

/// Binary attributes are read where they are, not kept as a snapshot: reading
/// configuration space is an event of the machine.
bool has_snapshot(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (path.starts_with("/proc/")) return name == "devices";
  return name != "config" && name != "rom" && !name.starts_with("resource");
}

Reply open_in_tree(Call& call, const std::string& path, std::uint32_t flags) {
  auto opened =
      call.context().tree.open(path, flags & ~(static_cast<std::uint32_t>(O_CREAT) | kHandleMark));
  if (!opened) return Reply::of(opened.error());
  return Reply::of(call.give(std::move(*opened), flags, Call::Numbers::kLowest, 0));
}

Reply open_file(Call& call, const std::string& path, std::uint32_t flags) {
  call.enter_machine(-1);
  Context& context = call.context();
  const std::uint32_t access = flags & O_ACCMODE;
  const unsigned wanted = (access != O_WRONLY ? R_OK : 0U) | (access != O_RDONLY ? W_OK : 0U);
  if (const auto may = check_permission(call, path.c_str() + 1, wanted); !may)
    return Reply::of(may);
  if (const auto instead = call.injected("open")) return Reply::of(*instead);
  auto file = context.machine.open(call, path, flags);
  if (!file) return Reply::of(file.error());
  object::File& object = **file;
  const auto number = call.install_named(std::move(*file), path, flags);
  const bool reads = (flags & O_ACCMODE) != O_WRONLY;
  if (number && reads && object.kind() == object::FileKind::kAttribute && has_snapshot(path))
    if (const DeviceFileRef device = call.ours(*number))
      // A read that fails will say so itself.
      std::ignore = refresh(call, *device, 0, kSnapshot);
  return Reply::of(number);
}

Reply open_node(Call& call, const std::string& path, std::uint32_t flags) {
  const auto node = call.context().tree.find(path);
  if (node && (flags & O_PATH) != 0) return open_handle(call, *node, flags);
  const bool has_parent = call.context().tree.find(path.substr(0, path.rfind('/'))).has_value();
  if (!node && (flags & (O_CREAT | O_PATH)) == O_CREAT && has_parent)
    return Reply::of(Error{Errno::kAcces, "no file can be made in the emulated tree"});
  if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
  if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
    return Reply::of(Error{Errno::kExist, "the file exists"});
  using Type = PrivateTree::Node::Type;
  switch (node->type) {
    case Type::kDirectory:
      if ((flags & O_TMPFILE) == O_TMPFILE)
        return Reply::of(Error{Errno::kOpNotSupp, "no file can be made in the emulated tree"});
      if ((flags & (O_ACCMODE | O_CREAT)) != 0)
        return Reply::of(Error{Errno::kIsDir, "a directory cannot be written"});
      return open_in_tree(call, path, flags);
    case Type::kSymlink:
      return Reply::of(Error{Errno::kLoop, "a symbolic link with O_NOFOLLOW"});
    case Type::kAttribute:
    case Type::kDevice:
      break;
  }
  if ((flags & O_DIRECTORY) != 0) return Reply::of(Error{Errno::kNotDir, "not a directory"});
  return open_file(call, path, flags);
}

}  // namespace

Reply on_open(Call& call, const Row& row) {
  const Result<Open> open = open_of(call, row.number);
  if (!open) return Reply::go_on();
  const bool stays =
      (open->flags & O_NOFOLLOW) != 0 || (open->flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
  const auto place =
      place_of(call, open->directory, open->path, stays ? Follow::kNo : Follow::kYes, open->limits);
  if (!place) return Reply::of(place.error());
  const bool proc =
      place->process_file.ends_with("/fail-nth") && call.context().machine.fail_nth() != nullptr;
  if (place->process_file.ends_with("/status"))
    return open_status(call, place->process_file, open->flags);
  if (place->kind == Place::Kind::kHost && !proc) return Reply::go_on();
  if (place->kind == Place::Kind::kElsewhere) return open_elsewhere(call, place->path, *open);
  if (call.context().describes()) {
    call.describe(std::string(row.name) + "(\"" + (proc ? place->process_file : place->path) +
                  "\", " + open_flags_text(open->flags) + ")");
  }
  if (proc) return open_file(call, place->process_file, open->flags);
  // Opening /proc/self/fd/N of a device opens the device anew.
  if (!place->path.starts_with('/'))
    return Reply::of(Error{Errno::kNxio, "an anonymous file cannot be reopened"});
  return open_node(call, place->path, open->flags);
}

}  // namespace teeio::run
