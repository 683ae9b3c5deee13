#include "run/private_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "run/abandon.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr std::string_view kNamePrefix = "teeio-run.";
constexpr const char* kLockName = "/.lock";
constexpr const char* kLockBeforeItIsTaken = "/.lock-new";
constexpr std::string_view kHandles = "/.handles";

bool is_below(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

Fd take_lock(const std::string& path, int flags) {
  Fd lock(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0600));
  if (lock.ok() && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.reset();
  return lock;
}

/// The lock is there only when it is held: another run, which looks for what killed
/// ones left, never sees it free.
Fd make_lock(const std::string& directory) {
  const std::string before = directory + kLockBeforeItIsTaken;
  Fd lock = take_lock(before, O_CREAT | O_EXCL);
  if (lock.ok() && ::rename(before.c_str(), (directory + kLockName).c_str()) != 0) lock.reset();
  return lock;
}

/// Removes what killed runs left: directories whose lock nobody holds.
void remove_stale(const std::string& tmpfs) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(tmpfs, ignored)) {
    const std::string path = entry.path();
    struct stat info{};
    const bool ours = entry.path().filename().string().starts_with(kNamePrefix) &&
                      ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                      info.st_uid == ::geteuid();
    if (ours && take_lock(path + kLockName, 0).ok())
      std::filesystem::remove_all(entry.path(), ignored);
  }
}

bool alike(const entry::FileStat& one, const entry::FileStat& other) {
  return one.mode == other.mode && one.size == other.size;
}

/// "/sys/x" → "sys/x": names are taken relative to the root's descriptor.
const char* relative(const std::string& path) { return path.c_str() + (path.starts_with('/')); }

}  // namespace

bool VirtualPrefixes::contain(std::string_view path) const {
  if (path.starts_with("/dev/"))
    return is_below(path, "/dev/vfio") || is_below(path, "/dev/iommu") ||
           (is_below(path, "/dev/kvm") && kvm_ == Kvm::kEmulated) ||
           std::ranges::any_of(devices_,
                               [&](const auto& device) { return is_below(path, device); });
  if (path.starts_with("/proc/")) return is_below(path, "/proc/bus/pci");
  if (!path.starts_with("/sys/")) return false;
  // Modules that are not ours are the host's.
  if (path == "/sys/module") return true;
  for (const std::string_view module : {"vfio", "vfio_pci", "vfio_pci_core", "iommufd", "irqbypass",
                                        "vfio_iommu_type1", "vfio_virqfd"})
    if (is_below(path, std::string("/sys/module/").append(module))) return true;
  constexpr std::string_view kPciRoot = "/sys/devices/pci";
  if (path.starts_with(kPciRoot))
    return path.size() > kPciRoot.size() && path[kPciRoot.size()] >= '0' &&
           path[kPciRoot.size()] <= '9';
  // Of nodes below /dev, by their numbers: those of VFIO are its own majors'.
  for (const std::string_view numbers : {"10:196", "10:232", "10:256"})
    if (is_below(path, std::string("/sys/dev/char/").append(numbers)))
      return numbers != "10:232" || kvm_ == Kvm::kEmulated;
  for (const std::string_view major : {"/sys/dev/char/251:", "/sys/dev/char/252:"})
    if (path.starts_with(major)) return true;
  for (const std::string_view name : {"iommu", "vfio", "kvm"})
    for (const std::string_view folder : {"/sys/class/misc/", "/sys/devices/virtual/misc/"})
      if (is_below(path, std::string(folder).append(name)))
        return name != "kvm" || kvm_ == Kvm::kEmulated;
  for (const std::string_view prefix :
       {"/sys/bus/pci", "/sys/class/pci_bus", "/sys/class/tsm", "/sys/class/vfio",
        "/sys/class/vfio-dev", "/sys/class/iommu", "/sys/kernel/iommu_groups",
        "/sys/devices/virtual/iommu", "/sys/devices/virtual/vfio"})
    if (is_below(path, prefix)) return true;
  return std::ranges::any_of(devices_,
                             [path](const std::string& device) { return is_below(path, device); });
}

Result<std::unique_ptr<PrivateTree>> PrivateTree::create(const std::string& tmpfs,
                                                         entry::SystemCalls& machine) {
  remove_stale(tmpfs);
  std::string directory = tmpfs + "/" + std::string(kNamePrefix) + "XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr)
    return std::unexpected(last_error("the private directory cannot be made"));
  Fd lock = make_lock(directory);
  Fd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!lock.ok() || !root.ok()) {
    const auto failed = std::unexpected(last_error("the private directory cannot be opened"));
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
    return failed;
  }
  return std::unique_ptr<PrivateTree>(
      new PrivateTree(std::move(directory), std::move(root), std::move(lock), machine));
}

PrivateTree::PrivateTree(std::string directory, Fd root, Fd lock, entry::SystemCalls& machine)
    : directory_(std::move(directory)),
      root_(std::move(root)),
      lock_(std::move(lock)),
      machine_(machine) {
  remove_when_abandoned(directory_);
}

PrivateTree::~PrivateTree() {
  remove_when_abandoned({});
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

bool PrivateTree::is_current(std::uint64_t generation) {
  const schedule::Lock lock(mutex_);
  return filled_ && generation == generation_;
}

void PrivateTree::sync() {
  if (is_current(machine_.tree_generation())) return;
  const schedule::Lock one_at_a_time(sync_mutex_);
  const std::uint64_t generation = machine_.tree_generation();
  if (is_current(generation)) return;
  Nodes next;
  for (Node& node : machine_.tree()) {
    std::string path = node.path;
    next.emplace_hint(next.end(), std::move(path), std::move(node));
  }
  const schedule::Lock lock(mutex_);
  std::vector<std::string> changed;
  for (auto at = made_.rbegin(); at != made_.rend(); ++at) {  // children before parents
    const Node& before = nodes_.find(*at)->second;
    const auto kept = next.find(*at);
    const bool same = kept != next.end() && kept->second.type == before.type &&
                      kept->second.target == before.target;
    if (!same) remove_locked(before);
    if (!same) full_.erase(*at);
    if (!same || !alike(kept->second.stat, before.stat)) changed.push_back(*at);
  }
  for (const std::string& path : changed) made_.erase(path);
  nodes_ = std::move(next);
  const std::set<std::string, std::less<>> full = std::exchange(full_, {});
  for (const std::string& directory : full) fill_locked(directory);
  generation_ = generation;
  filled_ = true;
}

/// Its parents are there then too, but not full.
void PrivateTree::make_locked(const Node& node) {
  for (std::size_t end = node.path.find('/', 1); end != std::string::npos;
       end = node.path.find('/', end + 1)) {
    const std::string parent = node.path.substr(0, end);
    if (made_.contains(parent)) continue;
    if (nodes_.contains(parent)) made_.insert(parent);
    (void)::mkdirat(root(), relative(parent), 0755);
  }
  if (made_.insert(node.path).second) add_locked(node);
  if (node.type == Node::Type::kDirectory) fill_locked(node.path);
}

void PrivateTree::fill_locked(const std::string& directory) {
  if (!full_.insert(directory).second) return;
  const std::string prefix = directory + "/";
  for (auto at = nodes_.lower_bound(prefix); at != nodes_.end() && at->first.starts_with(prefix);) {
    const std::size_t deeper = at->first.find('/', prefix.size());
    if (deeper != std::string::npos) {
      at = nodes_.lower_bound(at->first.substr(0, deeper) + static_cast<char>('/' + 1));
      continue;
    }
    if (made_.insert(at->first).second) add_locked(at->second);
    ++at;
  }
}

void PrivateTree::add_locked(const Node& node) {
  const char* name = relative(node.path);
  switch (node.type) {
    case Node::Type::kDirectory:
      (void)::mkdirat(root(), name, 0755);
      return;
    case Node::Type::kSymlink:
      (void)::symlinkat(node.target.c_str(), root(), name);
      return;
    case Node::Type::kAttribute:
    case Node::Type::kDevice: {
      const Fd file(::openat(root(), name, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
      // Only ls and find look at these; the bytes of an attribute never come from here.
      (void)!::ftruncate(file.get(), static_cast<off_t>(node.stat.size));
      (void)::fchmod(file.get(), node.stat.mode & 0777U);
      return;
    }
  }
}

void PrivateTree::remove_locked(const Node& node) {
  const int flags = node.type == Node::Type::kDirectory ? AT_REMOVEDIR : 0;
  (void)::unlinkat(root(), relative(node.path), flags);
}

std::optional<PrivateTree::Node> PrivateTree::find(std::string_view path) {
  const schedule::Lock lock(mutex_);
  const auto at = nodes_.find(path);
  if (at == nodes_.end()) return std::nullopt;
  make_locked(at->second);
  return at->second;
}

/// What the kernel comes by on its way to `path`: links, what they lead to, the file itself.
void PrivateTree::make_way(std::string path) {
  constexpr int kMostLinks = 40;  // Linux: MAXSYMLINKS
  const schedule::Lock lock(mutex_);
  for (int links = 0; links < kMostLinks; ++links) {
    std::size_t end = path.find('/', 1);
    auto at = nodes_.end();
    for (;; end = path.find('/', end + 1)) {
      at = nodes_.find(std::string_view(path).substr(0, end));
      const bool is_link = at != nodes_.end() && at->second.type == Node::Type::kSymlink;
      if (is_link || end == std::string::npos) break;
    }
    if (at == nodes_.end()) return;
    make_locked(at->second);
    if (at->second.type != Node::Type::kSymlink) return;
    const std::filesystem::path target =
        std::filesystem::path(at->first).parent_path() / at->second.target;
    path = target.lexically_normal().string() +
           (end == std::string::npos ? std::string() : path.substr(end));
  }
}

Result<Fd> PrivateTree::open(const std::string& path, std::uint32_t flags) {
  make_way(path);
  Fd fd(openat2_path(root(), path.c_str(), flags | O_CLOEXEC, RESOLVE_IN_ROOT));
  if (!fd.ok()) return std::unexpected(last_error("the private tree has no such file"));
  return fd;
}

Result<Fd> PrivateTree::open_handle(const Node& node, std::uint32_t flags) {
  flags &= O_DIRECTORY | O_NOFOLLOW;
  if (node.type == Node::Type::kDirectory) return open(node.path, flags | kHandleMark);
  const std::string path = directory_ + std::string(kHandles) + node.path;
  std::error_code ignored;
  std::filesystem::create_directories(path.substr(0, path.rfind('/')), ignored);
  const Fd made(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
  Fd handle(::open(path.c_str(), O_ACCMODE | O_CLOEXEC | static_cast<int>(flags)));
  if (!handle.ok()) return std::unexpected(last_error("no handle of the file can be made"));
  return handle;
}

bool PrivateTree::is_handle(std::string_view real) const {
  return is_below(real, directory_) && is_below(real.substr(directory_.size()), kHandles);
}

std::optional<std::string> PrivateTree::virtual_path(std::string_view real) const {
  if (!is_below(real, directory_)) return std::nullopt;
  real.remove_prefix(directory_.size());
  if (is_below(real, kHandles)) real.remove_prefix(kHandles.size());
  return std::string(real);
}

}  // namespace teeio::run
