#include <fcntl.h>

#include "run/dispatch.h"

namespace teeio::run {
namespace {

/// Says why on stderr: a program that expected the host's answer should know.
Reply refuse(Call& call, const Row& row, const std::string& path) {
  std::string text(row.name);
  text += "(\"" + path + "\") is not possible in the emulated tree: refused with ";
  text += errno_name(row.refusal);
  call.context().log.warn(call.tid(), text);
  return Reply::of(Error{row.refusal, "not possible in the emulated tree"});
}

/// The path that an argument names if it is ours; else empty.
std::string virtual_argument(Call& call, int directory, int path, Follow follow) {
  const int dir = directory < 0 ? AT_FDCWD : call.int_arg(static_cast<unsigned>(directory));
  const std::uint64_t address = call.arg(static_cast<unsigned>(path));
  if (address == 0) return {};  // futimens(): a descriptor, no path
  const auto place = place_of(call, dir, address, follow);
  if (!place || place->kind == Place::Kind::kHost) return {};
  return place->path;
}

std::string virtual_argument(Call& call, const Row& row) {
  return virtual_argument(call, row.directory, row.path, row.follow);
}

}  // namespace

Result<Place> place_of(Call& call, int directory, std::uint64_t path_address, Follow follow,
                       std::uint64_t limits) {
  const auto path = call.memory().read_path(path_address);
  if (!path || path->empty()) return Place{};
  return call.context().paths.resolve(call.tid(), directory, *path, follow, limits);
}

Reply on_refused_path(Call& call, const Row& row) {
  const std::string path = virtual_argument(call, row);
  return path.empty() ? Reply::go_on() : refuse(call, row, path);
}

/// From one file system into another is EXDEV, which mv and ln know what to do with.
Reply on_refused_pair(Call& call, const Row& row) {
  const bool at = row.directory >= 0;
  const std::string from = virtual_argument(call, row);
  const std::string to =
      virtual_argument(call, at ? row.directory + 2 : -1, row.path + (at ? 2 : 1), row.follow);
  if (from.empty() && to.empty()) return Reply::go_on();
  const auto mount = [](const std::string& path) { return path.substr(0, path.find('/', 1)); };
  Row refused = row;
  if (mount(from) != mount(to)) refused.refusal = Errno::kXDev;
  return refuse(call, refused, from.empty() ? to : from);
}

Reply on_no_xattr(Call& call, const Row& row) {
  const std::string path = virtual_argument(call, row);
  return path.empty() ? Reply::go_on() : Reply::of(Error{row.refusal, "sysfs has none"});
}

Reply on_no_xattrs(Call& call, const Row& row) {
  return virtual_argument(call, row).empty() ? Reply::go_on() : Reply::of(std::int64_t{0});
}

Reply on_exec(Call& call, const Row& row) {
  const std::string path = virtual_argument(call, row);
  if (!path.empty()) return refuse(call, row, path);
  call.context().tasks.on_exec(call.tid());
  return Reply::go_on();
}

Reply on_root_change(Call& call, const Row& row) {
  if (row.path >= 0)
    if (const std::string path = virtual_argument(call, row); !path.empty())
      return refuse(call, row, path);
  call.context().tasks.on_root_change();
  return Reply::go_on();
}

}  // namespace teeio::run
