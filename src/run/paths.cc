#include "run/paths.h"

#include <fcntl.h>
#include <linux/openat2.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <deque>
#include <optional>

#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr int kMaxLinks = 40;  // Linux: MAXSYMLINKS

bool has_dot_dot(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

/// Puts the components of `path` before those that are still to walk.
void push_front(std::deque<std::string>& todo, std::string_view path) {
  std::deque<std::string> parts;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const std::string_view part = path.substr(0, end);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
  }
  todo.insert(todo.begin(), parts.begin(), parts.end());
}

/// Whether the last component is followed and must be a directory.
bool wants_directory(std::string_view path) {
  return path == "." || path == ".." || path.ends_with('/') || path.ends_with("/.") ||
         path.ends_with("/..");
}

std::string plain(std::string_view path) {
  std::deque<std::string> parts;
  push_front(parts, path);
  std::string text;
  for (const std::string& part : parts) text.append("/").append(part);
  return text;
}

/// The file system that a path of the host's usual layout is on.
std::string_view mount_of(std::string_view path) {
  for (const std::string_view mount : {"/dev", "/proc", "/sys"})
    if (path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/'))
      return mount;
  return {};
}

/// A link of /proc that leads where no path does: the kernel's nd_jump_link().
bool is_magic_link(std::string_view path) {
  if (!path.starts_with("/proc/")) return false;
  for (const std::string_view name : {"/cwd", "/exe", "/root"})
    if (path.ends_with(name)) return true;
  const std::string_view folder = path.substr(0, path.rfind('/'));
  return folder.ends_with("/fd") || folder.ends_with("/map_files") || folder.ends_with("/ns");
}

/// The thread and number of "/proc/<tid>/…fd/<n>"; nullopt for other paths.
std::optional<std::pair<pid_t, int>> proc_descriptor(std::string_view path) {
  constexpr std::string_view kProc = "/proc/";
  if (!path.starts_with(kProc)) return std::nullopt;
  pid_t tid = 0;
  const char* const end = path.data() + path.size();
  const auto after = std::from_chars(path.data() + kProc.size(), end, tid);
  std::string_view rest(after.ptr, static_cast<std::size_t>(end - after.ptr));
  if (constexpr std::string_view kTask = "/task/"; rest.starts_with(kTask)) {
    const auto next = std::from_chars(rest.data() + kTask.size(), end, tid);
    rest = {next.ptr, static_cast<std::size_t>(end - next.ptr)};
  }
  constexpr std::string_view kFd = "/fd/";
  int number = -1;
  if (!rest.starts_with(kFd)) return std::nullopt;
  if (std::from_chars(rest.data() + kFd.size(), end, number).ptr != end) return std::nullopt;
  return std::pair(tid, number);
}

/// "/proc/<pid>/fail-nth", "/proc/<pid>/status", or the same of "/proc/<pid>/task/<tid>":
/// where the emulated kernel tells of its tasks.
bool is_process_file(std::string_view path) {
  constexpr std::string_view kProc = "/proc/", kTask = "/task/";
  if (!path.starts_with(kProc) || !(path.ends_with("/fail-nth") || path.ends_with("/status")))
    return false;
  const auto skip_number = [&path](std::size_t prefix) {
    path.remove_prefix(prefix);
    path.remove_prefix(std::min(path.size(), path.find_first_not_of("0123456789")));
  };
  skip_number(kProc.size());
  if (path.starts_with(kTask)) skip_number(kTask.size());
  return path.rfind('/') == 0;
}

}  // namespace

/// One resolution, component by component.
class Walk {
 public:
  Walk(Paths& paths, pid_t tid, Follow follow, std::uint64_t limits)
      : paths_(paths), tid_(tid), follow_(follow), limits_(limits) {
    if (!paths.tasks_.has_our_root(tid)) host_root_ = proc_path(tid, "root");
  }

  Result<Place> run(std::string base, const std::string& path) {
    // The kernel finds no way through the tree, so what lies behind is found here.
    bool through_tree = !path.starts_with('/') && paths_.is_virtual(base);
    at_ = start_ = std::move(base);
    if (path.starts_with('/')) TEEIO_TRY(go_to_root());
    push_front(todo_, path);
    while (!todo_.empty()) {
      const std::string name = std::move(todo_.front());
      todo_.pop_front();
      if (name == "..") {
        TEEIO_TRY(go_up());
        continue;
      }
      const std::string next = at_ + "/" + name;
      if (has(RESOLVE_NO_XDEV) && mount_of(next) != mount_of(at_)) return leaves_file_system();
      const bool inside = paths_.is_virtual(next);
      through_tree = through_tree || inside;
      TEEIO_ASSIGN(const bool done, inside ? step_virtual(next) : step_host(next));
      if (done) return std::move(place_);
    }
    if (paths_.is_virtual(at_)) return Place{Place::Kind::kVirtual, at_, nullptr};
    if (!through_tree) return Place{};
    return Place{Place::Kind::kElsewhere, host_root_ + (at_.empty() ? "/" : at_), nullptr};
  }

 private:
  [[nodiscard]] bool has(std::uint64_t limit) const { return (limits_ & limit) != 0; }
  static std::unexpected<Error> leaves_file_system() {
    return fail(Errno::kXDev, "RESOLVE_NO_XDEV: another file system");
  }
  static std::unexpected<Error> leaves_start() {
    return fail(Errno::kXDev, "RESOLVE_BENEATH: not below the directory");
  }

  // Source: Linux fs/namei.c, nd_jump_root(), handle_dots(), pick_link(), nd_jump_link().
  Result<void> go_to_root() {
    if (has(RESOLVE_BENEATH)) return leaves_start();
    const std::string root = has(RESOLVE_IN_ROOT) ? start_ : std::string();
    if (has(RESOLVE_NO_XDEV) && mount_of(root) != mount_of(at_)) return leaves_file_system();
    at_ = root;
    return {};
  }
  Result<void> go_up() {
    if (at_ == start_ && has(RESOLVE_BENEATH)) return leaves_start();
    if (at_ == start_ && has(RESOLVE_IN_ROOT)) return {};
    std::string above = at_.substr(0, std::min(at_.size(), at_.rfind('/')));
    if (has(RESOLVE_NO_XDEV) && mount_of(above) != mount_of(at_)) return leaves_file_system();
    at_ = std::move(above);
    return {};
  }
  Result<void> may_jump(std::string_view link) const {
    if (!is_magic_link(link)) return {};
    if (has(RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS))
      return fail(Errno::kLoop, "RESOLVE_NO_MAGICLINKS");
    if (has(RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return leaves_start();
    return {};
  }

  [[nodiscard]] bool follows() const { return !todo_.empty() || follow_ == Follow::kYes; }

  [[nodiscard]] std::string with_rest(std::string path) const {
    for (const std::string& name : todo_) path.append("/").append(name);
    return path;
  }

  Result<bool> finish(Place place) {
    place_ = std::move(place);
    return true;
  }

  Result<bool> follow_link(std::string_view target) {
    if (++links_ > kMaxLinks) return fail(Errno::kLoop, "too many symbolic links");
    if (has(RESOLVE_NO_SYMLINKS)) return fail(Errno::kLoop, "RESOLVE_NO_SYMLINKS");
    if (target.starts_with('/')) TEEIO_TRY(go_to_root());
    push_front(todo_, target);
    return false;
  }

  Result<bool> step_virtual(const std::string& next) {
    const auto node = paths_.tree_.find(next);
    using Type = PrivateTree::Node::Type;
    if (!node) return finish({Place::Kind::kVirtual, with_rest(next), nullptr});
    if (node->type == Type::kSymlink && follows()) return follow_link(node->target);
    if (node->type != Type::kDirectory && node->type != Type::kSymlink && !todo_.empty())
      return fail(Errno::kNotDir, "a file of the emulated tree used as a directory");
    at_ = next;
    return false;
  }

  Result<bool> step_host(const std::string& next) {
    if (next == "/proc/self") return follow_link(std::to_string(paths_.tasks_.process_of(tid_)));
    if (next == "/proc/thread-self")
      return follow_link(std::to_string(paths_.tasks_.process_of(tid_)) + "/task/" +
                         std::to_string(tid_));
    if (todo_.empty() && is_process_file(next))
      return finish({Place::Kind::kHost, {}, nullptr, next});
    if (follows()) TEEIO_TRY(may_jump(next));
    if (const auto named = proc_descriptor(next)) {
      Place place = paths_.descriptor(named->first, named->second);
      if (place.kind == Place::Kind::kDescriptor && todo_.empty()) return finish(std::move(place));
    }
    if (!follows() && next.starts_with("/proc/"))
      if (auto inside = paths_.tree_.virtual_path(read_link(host_root_ + next)))
        return finish({Place::Kind::kHost, std::move(*inside), nullptr});
    const std::string target = follows() ? read_link(host_root_ + next) : std::string();
    if (target.empty()) {
      at_ = next;
      return false;
    }
    if (const auto inside = paths_.tree_.virtual_path(target)) return follow_link(*inside);
    // A pipe, a deleted file …: nothing that has a name leads on from there.
    if (next.starts_with("/proc/") && !target.starts_with('/') && proc_descriptor(next))
      return finish({});
    return follow_link(target);
  }

  Paths& paths_;
  const pid_t tid_;
  const Follow follow_;
  const std::uint64_t limits_;
  std::string start_;
  std::string host_root_;
  std::string at_;
  std::deque<std::string> todo_;
  Place place_;
  int links_ = 0;
};

/// nullopt: there is no such directory descriptor.
std::optional<std::string> Paths::base_of(pid_t tid, int dir) const {
  std::string base = read_link(dir == AT_FDCWD ? proc_path(tid, "cwd")
                                               : proc_path(tid, "fd/" + std::to_string(dir)));
  if (auto inside = tree_.virtual_path(base)) return inside;
  if (base.empty()) return std::nullopt;
  if (base == "/") base.clear();
  return base;
}

bool Paths::is_plain_host_path(const std::string& path, Follow follow) const {
  if (has_dot_dot(path)) return false;
  if (const std::string is = plain(path); prefixes_.contain(is) || is_process_file(is))
    return false;
  const unsigned flags = O_PATH | O_CLOEXEC | (follow == Follow::kNo ? O_NOFOLLOW : 0);
  const Fd fd(openat2_path(AT_FDCWD, path.c_str(), flags, RESOLVE_NO_SYMLINKS));
  return fd.ok() || errno != ELOOP;
}

Result<Place> Paths::resolve(pid_t tid, int dir, const std::string& path, Follow follow,
                             std::uint64_t limits) {
  const bool scoped = (limits & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0;
  const std::optional<std::string> base =
      path.starts_with('/') && !scoped ? std::string() : base_of(tid, dir);
  if (!base) return Place{};
  const bool directory = wants_directory(path);
  if (directory) follow = Follow::kYes;
  const bool from_tree = (scoped || !path.starts_with('/')) && is_virtual(*base);
  if (!from_tree && tasks_.has_our_root(tid) && is_plain_host_path(*base + "/" + path, follow))
    return Place{};
  TEEIO_ASSIGN(Place place, Walk(*this, tid, follow, limits).run(*base, path));
  if (!directory || place.kind != Place::Kind::kVirtual) return place;
  const auto node = tree_.find(place.path);
  if (node && node->type != PrivateTree::Node::Type::kDirectory)
    return fail(Errno::kNotDir, "a file of the emulated tree used as a directory");
  return place;
}

Place Paths::descriptor(pid_t tid, int fd) {
  if (fd < 0) return {};
  Lookup found = tasks_.lookup(tid, fd);
  if (found.kind == Lookup::Kind::kOurs)
    return {Place::Kind::kDescriptor, found.file->name, std::move(found.file)};
  if (found.kind == Lookup::Kind::kClosed) return {};
  const std::string real = read_link(proc_path(tid, "fd/" + std::to_string(fd)));
  if (auto inside = tree_.virtual_path(real)) return {Place::Kind::kVirtual, *inside, nullptr};
  return {};
}

}  // namespace teeio::run
