#include <fcntl.h>
#include <sys/inotify.h>

#include "run/carried_out.h"
#include "run/dispatch.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// Moves the caller into the directory behind `opened`.
Reply move(Call& call, Fd opened, const std::string& path) {
  // A number whose close is not ours to answer.
  const auto number = call.give(std::move(opened), O_CLOEXEC, Call::Numbers::kLowest, 0);
  if (!number) return Reply::of(number.error());
  Context& context = call.context();
  const auto moved = carry_out_fchdir(call.pid(), call.tid(), *number, [&] {
    context.listener.reply_error(call.id(), static_cast<std::int32_t>(Errno::kAcces));
  });
  if (moved) return Reply::sent(*moved);
  if (moved.error().code == kNoThread) return Reply::sent(0);
  context.log.warn(call.tid(), "chdir(\"" + path +
                                   "\") needs to trace the program, which this "
                                   "system or another tracer forbids: refused with EACCES");
  return Reply::of(Error{Errno::kAcces, "a working directory in the emulated tree needs ptrace"});
}

/// The private tree's path of a virtual one, for calls that take no descriptor.
std::string real_path(const PrivateTree& tree, const std::string& path) {
  return proc_path(::getpid(), "fd/" + std::to_string(tree.root())) + path;
}

}  // namespace

Reply on_chdir(Call& call, const Row& row) {
  const auto place = place_of(call, AT_FDCWD, call.arg(0), Follow::kYes);
  if (!place) return Reply::of(place.error());
  switch (place->kind) {
    case Place::Kind::kHost:
      return Reply::go_on();
    case Place::Kind::kDescriptor:
      return Reply::of(Error{Errno::kNotDir, "not a directory"});
    case Place::Kind::kVirtual:
    case Place::Kind::kElsewhere:
      break;
  }
  if (call.context().log.traces_calls())
    call.describe(std::string(row.name) + "(\"" + place->path + "\")");
  if (place->kind == Place::Kind::kElsewhere) {
    Fd opened(::open(place->path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened.ok()) return Reply::of(last_error("the host refuses the directory"));
    return move(call, std::move(opened), place->path);
  }
  const auto node = call.context().tree.find(place->path);
  if (!node) return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
  if (node->type != PrivateTree::Node::Type::kDirectory)
    return Reply::of(Error{Errno::kNotDir, "not a directory"});
  auto opened = call.context().tree.open(place->path, O_RDONLY | O_DIRECTORY);
  if (!opened) return Reply::of(opened.error());
  return move(call, std::move(*opened), place->path);
}

Reply on_getcwd(Call& call, const Row&) {
  const auto path = call.context().tree.virtual_path(read_link(proc_path(call.tid(), "cwd")));
  if (!path) return Reply::go_on();
  constexpr std::string_view kDeleted = " (deleted)";
  if (path->ends_with(kDeleted)) return Reply::of(Error{Errno::kNoEnt, "the directory is gone"});
  const std::size_t size = path->size() + 1;
  if (call.arg(1) < size) return Reply::of(Error{Errno::kRange, "no room for the path"});
  const auto written =
      call.memory().write(call.arg(0), std::as_bytes(std::span(path->c_str(), size)));
  return written ? Reply::of(static_cast<std::int64_t>(size)) : Reply::of(written.error());
}

/// A watch of the private tree's file: what comes and goes there comes and goes in the
/// machine. The bytes of attributes and devices are elsewhere, so reads and writes are
/// not seen.
Reply on_watch(Call& call, const Row&) {
  const std::uint32_t mask = call.word_arg(2);
  const bool stays = (mask & IN_DONT_FOLLOW) != 0;
  const auto place = place_of(call, AT_FDCWD, call.arg(1), stays ? Follow::kNo : Follow::kYes);
  if (!place) return Reply::of(place.error());
  std::string path;
  switch (place->kind) {
    case Place::Kind::kHost:
      return Reply::go_on();
    case Place::Kind::kElsewhere:
      path = place->path;
      break;
    case Place::Kind::kDescriptor:
      if (!place->path.starts_with('/'))
        return Reply::of(Error{Errno::kNoEnt, "an anonymous file has no name to watch"});
      [[fallthrough]];
    case Place::Kind::kVirtual:
      if (!call.context().tree.find(place->path))
        return Reply::of(Error{Errno::kNoEnt, "not in the emulated tree"});
      path = real_path(call.context().tree, place->path);
      break;
  }
  const auto instance = call.context().tasks.steal(call.tid(), call.int_arg(0));
  if (!instance) return Reply::of(instance.error());
  const int watch = ::inotify_add_watch(instance->get(), path.c_str(), mask);
  if (watch < 0) return Reply::of(last_error("the watch is refused"));
  return Reply::of(static_cast<std::int64_t>(watch));
}

}  // namespace teeio::run
