#include "host/sysfs/tree.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "base/check.h"
#include "base/types.h"

namespace teeio::sysfs {
namespace {

constexpr int kMaxLinks = 40;  // as Linux's MAXSYMLINKS

std::string_view parent_of(std::string_view path) { return path.substr(0, path.rfind('/')); }

bool same_node(const Node& was, const Node& now) {
  return was.kind == now.kind && was.mode == now.mode && was.rdev == now.rdev &&
         was.size == now.size && was.target == now.target;
}

/// One step of a walk: appends or, for "..", takes away.
void descend(std::string& at, std::string_view name) {
  if (name.empty() || name == ".") return;
  if (name == "..")
    at.resize(parent_of(at).size());
  else
    at.append("/").append(name);
}

}  // namespace

std::uint64_t Tree::begin_view() {
  const schedule::WriteLock lock(mutex_);
  return ++last_view_;
}

void Tree::replace(std::uint64_t view, std::vector<Node> nodes) {
  Nodes next;
  for (Node& node : nodes) {
    std::string path = node.path;
    const bool fresh = next.emplace(std::move(path), std::move(node)).second;
    TEEIO_CHECK(fresh, "two nodes have one path");
  }
  const schedule::WriteLock lock(mutex_);
  if (view < applied_view_) return;
  applied_view_ = view;
  bool changed = next.size() != nodes_.size();
  for (const auto& [path, node] : next) {
    const auto was = nodes_.find(path);
    if (was == nodes_.end() || !same_node(was->second, node)) changed = true;
  }
  nodes_.swap(next);
  if (changed) ++generation_;
}

std::uint64_t Tree::generation() const {
  follow();
  const schedule::ReadLock lock(mutex_);
  return generation_;
}

std::vector<Node> Tree::nodes() const {
  follow();
  const schedule::ReadLock lock(mutex_);
  std::vector<Node> result;
  result.reserve(nodes_.size());
  for (const auto& [path, node] : nodes_) result.push_back(node);
  return result;
}

std::optional<Node> Tree::find(std::string_view path) const {
  follow();
  const schedule::ReadLock lock(mutex_);
  const auto at = nodes_.find(path);
  if (at == nodes_.end()) return std::nullopt;
  return at->second;
}

std::optional<std::string> Tree::resolve(std::string_view path) const {
  follow();
  const schedule::ReadLock lock(mutex_);
  std::string at;
  std::string rest(path);
  for (int links = 0; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    const std::string name = rest.substr(0, slash);
    rest = slash == std::string::npos ? std::string() : rest.substr(slash + 1);
    descend(at, name);
    const auto node = nodes_.find(at);
    if (node == nodes_.end() || node->second.kind != Node::Kind::kSymlink) continue;
    if (++links > kMaxLinks) return std::nullopt;
    at.resize(parent_of(at).size());
    rest = rest.empty() ? node->second.target : node->second.target + "/" + rest;
  }
  if (!nodes_.contains(at)) return std::nullopt;
  return at;
}

void NodeList::directory(std::string path) {
  nodes_.push_back(
      {.path = std::move(path), .kind = Node::Kind::kDirectory, .mode = S_IFDIR | 0755U});
}

void NodeList::link(std::string path, std::string_view to) {
  std::string target = relative_target(path, to);
  nodes_.push_back({.path = std::move(path),
                    .kind = Node::Kind::kSymlink,
                    .mode = S_IFLNK | 0777U,
                    .target = std::move(target)});
}

void NodeList::text(std::string path, std::uint32_t mode, Attribute::Show show,
                    Attribute::Store store, Attribute::IsThere is_there) {
  auto attribute = object::make_ref<Attribute>();
  attribute->show = std::move(show);
  attribute->store = std::move(store);
  attribute->is_there = std::move(is_there);
  nodes_.push_back({.path = std::move(path),
                    .kind = Node::Kind::kAttribute,
                    .mode = S_IFREG | mode,
                    .size = kPageSize,
                    .attribute = std::move(attribute)});
}

void NodeList::binary(std::string path, std::uint32_t mode, std::uint64_t size,
                      Attribute::Read read, Attribute::Write write, Attribute::Map map,
                      Attribute::Unmap unmap) {
  auto attribute = object::make_ref<Attribute>();
  attribute->read = std::move(read);
  attribute->write = std::move(write);
  attribute->binary = true;
  attribute->map = std::move(map);
  attribute->unmap = std::move(unmap);
  nodes_.push_back({.path = std::move(path),
                    .kind = Node::Kind::kAttribute,
                    .mode = S_IFREG | mode,
                    .size = size,
                    .attribute = std::move(attribute)});
}

void NodeList::device(std::string path, std::uint32_t mode, std::uint32_t major,
                      std::uint32_t minor) {
  nodes_.push_back({.path = std::move(path),
                    .kind = Node::Kind::kDevice,
                    .mode = S_IFCHR | mode,
                    .rdev = makedev(major, minor)});
}

std::string relative_target(std::string_view from, std::string_view to) {
  // The common part ends at a slash that both have.
  std::size_t common = 0;
  for (std::size_t i = 0; i < from.size() && i < to.size() && from[i] == to[i]; ++i)
    if (from[i] == '/') common = i + 1;
  std::string target;
  for (std::size_t i = common; i < from.size(); ++i)
    if (from[i] == '/') target += "../";
  return target.append(to.substr(common));
}

}  // namespace teeio::sysfs
