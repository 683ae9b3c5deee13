#include "scenario/dummy/machine.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "scenario/dummy/dummy.h"

namespace teeio::dummy {
namespace {

using object::FileKind;
constexpr std::uint64_t kBlockSliceNs = 500'000;
const std::string kFunction = "/sys/devices/pci0000:00/0000:01:00.0";

bool is_device(std::string_view path) { return path.starts_with("/dev/"); }

}  // namespace

void DummyFile::release() {
  pinned.reset();
  machine_.on_release(*this);
}

DummyMachine::DummyMachine() : config_(256), registers_(64 * 1024) {
  for (std::size_t i = 0; i < config_.size(); ++i) config_[i] = static_cast<std::byte>(i);
}

void DummyMachine::on_release(const DummyFile& file) {
  const schedule::Lock lock(mutex_);
  if (file.kind() == FileKind::kAttribute) return;
  --open_;
  ++released_;
}

object::Ref<DummyFile> DummyMachine::make(FileKind kind, std::string path) {
  const schedule::Lock lock(mutex_);
  if (kind != FileKind::kAttribute) ++open_;
  return object::make_ref<DummyFile>(*this, kind, next_serial_++, std::move(path));
}

Result<object::Ref<object::File>> DummyMachine::open(mm::Caller&, std::string_view path,
                                                     std::uint32_t flags) {
  const std::vector<Node> nodes = tree();
  const auto at = std::ranges::find(nodes, path, &Node::path);
  if (at == nodes.end()) return fail(Errno::kNoEnt, "no such node");
  if (is_device(path))
    return object::Ref<object::File>(make(FileKind::kVfioDevice, std::string(path)));
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (writes && (at->stat.mode & 0222U) == 0) return fail(Errno::kAcces, "read-only attribute");
  return object::Ref<object::File>(make(FileKind::kAttribute, std::string(path)));
}

Result<std::int64_t> DummyMachine::block(mm::Caller& caller) {
  mutex_.lock();
  const std::uint64_t before = kicks_;
  ++blocked_;
  bool interrupted = false;
  while (kicks_ == before && !interrupted) {
    (void)kicked_.wait_for(mutex_, kBlockSliceNs);
    mutex_.unlock();
    interrupted = caller.signal_pending();
    mutex_.lock();
  }
  --blocked_;
  mutex_.unlock();
  if (interrupted) return fail(Errno::kIntr, "a signal is pending");
  return 0;
}

Result<std::int64_t> DummyMachine::ioctl(mm::Caller& caller, object::File& file,
                                         std::uint32_t command, std::uint64_t argument) {
  const object::DelayedPuts scope;
  auto& dummy = static_cast<DummyFile&>(file);
  if (command == DUMMY_BLOCK) return block(caller);
  auto result = device_ioctl(caller, dummy, command, argument);
  if (result || result.error().code != Errno::kNoTty) return result;
  return memory_ioctl(caller, dummy, command, argument);
}

Result<std::int64_t> DummyMachine::device_ioctl(mm::Caller& caller, DummyFile& file,
                                                std::uint32_t command, std::uint64_t argument) {
  switch (command) {
    case DUMMY_ECHO: {
      dummy_pair pair{};
      TEEIO_TRY(caller.memory().read(argument, writable_bytes_of(pair)));
      pair.out = pair.in + 1;
      TEEIO_TRY(caller.memory().write(argument, bytes_of(pair)));
      return 0;
    }
    case DUMMY_SERIAL:
      return static_cast<std::int64_t>(file.serial());
    case DUMMY_MM:
      return static_cast<std::int64_t>(caller.mm_id());
    case DUMMY_MAKE: {
      auto made = make(FileKind::kKvmVcpu, "");
      return caller.install(std::move(made), O_RDWR | O_CLOEXEC);
    }
    case DUMMY_SIGNAL: {
      TEEIO_ASSIGN(auto target, caller.file(static_cast<std::int32_t>(argument)));
      if (target->kind() != FileKind::kForeign) return fail(Errno::kInval, "one of ours");
      TEEIO_ASSIGN(auto event, static_cast<mm::ForeignFile&>(*target).eventfd());
      event->signal();
      return 0;
    }
    default:
      break;
  }
  const schedule::Lock lock(mutex_);
  switch (command) {
    case DUMMY_OPEN:
      return open_;
    case DUMMY_RELEASED:
      return released_;
    case DUMMY_BLOCKED:
      return blocked_;
    case DUMMY_KICK: {
      ++kicks_;
      kicked_.notify_all();
      return 0;
    }
    default:
      return fail(Errno::kNoTty, "no such command");
  }
}

Result<std::int64_t> DummyMachine::memory_ioctl(mm::Caller& caller, DummyFile& file,
                                                std::uint32_t command, std::uint64_t argument) {
  switch (command) {
    case DUMMY_REVOKE:
      file.mapped().revoke();
      return 0;
    case DUMMY_RESTORE: {
      TEEIO_ASSIGN(auto window, file.mapped().expose(DUMMY_BAR_OFFSET, DUMMY_BAR_SIZE));
      std::ranges::fill(window, std::byte{0x5a});
      return 0;
    }
    case DUMMY_PIN: {
      dummy_range range{};
      TEEIO_TRY(caller.memory().read(argument, writable_bytes_of(range)));
      TEEIO_ASSIGN(file.pinned,
                   caller.memory().pin(range.address, range.size, mm::Access::kReadWrite));
      return file.pinned->direct().empty() ? 0 : 1;
    }
    case DUMMY_MEMFD: {
      TEEIO_ASSIGN(auto target, caller.file(static_cast<std::int32_t>(argument)));
      if (target->kind() != FileKind::kForeign) return fail(Errno::kInval, "one of ours");
      auto& memfd = static_cast<mm::ForeignFile&>(*target);
      TEEIO_ASSIGN(file.pinned, memfd.memfd_pages(0, 4096, mm::Access::kReadWrite));
      return 0;
    }
    case DUMMY_DMA: {
      if (!file.pinned) return fail(Errno::kNoEnt, "nothing is pinned");
      const Bytes data(file.pinned->size_bytes(), std::byte{0xd0});
      TEEIO_TRY(file.pinned->write(0, data));
      return 0;
    }
    default:
      return fail(Errno::kNoTty, "no such command");
  }
}

std::string DummyMachine::show(const std::string& path) {
  const schedule::Lock lock(mutex_);
  if (path.ends_with("/vendor")) return "0x1af4\n";
  if (path.ends_with("/connect")) return connected_ ? "tsm0\n" : "\n";
  return {};
}

Result<void> DummyMachine::store(const std::string& path, const std::string& text) {
  const schedule::Lock lock(mutex_);
  if (path.ends_with("/reset")) return {};
  if (text != "tsm0\n") return fail(Errno::kInval, "no such TSM");
  if (connected_) return fail(Errno::kBusy, "already connected");
  connected_ = true;
  ++generation_;
  return {};
}

Result<std::size_t> DummyMachine::read(mm::Caller&, object::File& file, std::uint64_t offset,
                                       std::span<std::byte> out) {
  auto& dummy = static_cast<DummyFile&>(file);
  std::string text;
  ByteView bytes;
  if (dummy.kind() != FileKind::kAttribute) {
    bytes = registers_;
  } else if (dummy.path().ends_with("/config")) {
    bytes = config_;
  } else {
    text = show(dummy.path());
    bytes = std::as_bytes(std::span(text));
  }
  if (offset >= bytes.size()) return 0;
  const std::size_t count = std::min<std::size_t>(out.size(), bytes.size() - offset);
  std::memcpy(out.data(), bytes.data() + offset, count);
  return count;
}

Result<std::size_t> DummyMachine::write(mm::Caller&, object::File& file, std::uint64_t offset,
                                        ByteView in) {
  auto& dummy = static_cast<DummyFile&>(file);
  const bool is_config = dummy.path().ends_with("/config");
  if (dummy.kind() == FileKind::kAttribute && !is_config) {
    TEEIO_TRY(store(dummy.path(), {reinterpret_cast<const char*>(in.data()), in.size()}));
    return in.size();
  }
  Bytes& bytes = is_config ? config_ : registers_;
  if (offset >= bytes.size()) return fail(Errno::kInval, "beyond the end");
  const std::size_t count = std::min<std::size_t>(in.size(), bytes.size() - offset);
  std::memcpy(bytes.data() + offset, in.data(), count);
  return count;
}

Result<void> DummyMachine::mmap(mm::Caller&, object::File& file, std::uint64_t offset,
                                std::uint64_t length, std::uint32_t, std::uint32_t flags) {
  if (file.kind() != FileKind::kVfioDevice) return fail(Errno::kNoDev, "not mappable");
  if (offset != DUMMY_BAR_OFFSET || length > DUMMY_BAR_SIZE || (flags & MAP_SHARED) == 0)
    return fail(Errno::kInval, "no such region");
  auto& mapped = static_cast<DummyFile&>(file).mapped();
  TEEIO_TRY(mapped.expose(DUMMY_BAR_OFFSET, DUMMY_BAR_SIZE));
  return {};
}

void DummyMachine::set_mapped_file(object::File& file, std::unique_ptr<mm::MappedFile> mapped) {
  static_cast<DummyFile&>(file).set_mapped(std::move(mapped));
}

entry::FileStat DummyMachine::stat(object::File& file) {
  if (file.kind() == FileKind::kAttribute) return {S_IFREG | 0644, 0, 4096};
  return {S_IFCHR | 0600, makedev(511, 0), 0};
}

std::uint64_t DummyMachine::tree_generation() {
  const schedule::Lock lock(mutex_);
  return generation_;
}

std::vector<entry::SystemCalls::Node> DummyMachine::tree() {
  const schedule::Lock lock(mutex_);
  using Type = Node::Type;
  std::vector<Node> nodes;
  const auto directory = [&](std::string path) {
    nodes.push_back({std::move(path), Type::kDirectory, {}, {S_IFDIR | 0755, 0, 0}});
  };
  const auto attribute = [&](std::string path, std::uint32_t mode, std::uint64_t size) {
    nodes.push_back({std::move(path), Type::kAttribute, {}, {S_IFREG | mode, 0, size}});
  };
  directory("/dev/vfio");
  directory("/dev/vfio/devices");
  nodes.push_back({DUMMY_DEVICE, Type::kDevice, {}, {S_IFCHR | 0600, makedev(511, 0), 0}});
  directory("/sys/devices/pci0000:00");
  directory(kFunction);
  attribute(kFunction + "/vendor", 0444, 4096);
  attribute(kFunction + "/config", 0644, 256);
  attribute(kFunction + "/reset", 0200, 4096);
  directory(kFunction + "/tsm");
  attribute(kFunction + "/tsm/connect", 0644, 4096);
  if (connected_) attribute(kFunction + "/tsm/disconnect", 0200, 4096);
  directory("/sys/bus/pci");
  directory("/sys/bus/pci/devices");
  nodes.push_back({DUMMY_FUNCTION, Type::kSymlink, "../../../devices/pci0000:00/0000:01:00.0", {}});
  directory("/sys/class/tsm");
  return nodes;
}

std::string DummyMachine::ioctl_name(object::File&, std::uint32_t command) {
  return command == DUMMY_ECHO ? "DUMMY_ECHO" : "DUMMY_" + std::to_string(command & 0xffU);
}

std::string DummyMachine::describe(mm::Caller&, object::File& file, std::uint32_t command,
                                   std::uint64_t) {
  return ioctl_name(file, command);
}

}  // namespace teeio::dummy
