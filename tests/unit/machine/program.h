#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "machine/machine.h"

namespace teeio::machine::test {

/// The errno of a refused call, Errno{} (with a failure) when it succeeded.
template <class T>
Errno error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "the call succeeded";
  return result.has_value() ? Errno{} : result.error().code;
}

/// A built-in machine, with one piece of its text replaced.
inline std::unique_ptr<Machine> make_machine(std::string_view name = kDefaultMachine,
                                             std::string_view from = {}, std::string_view to = {}) {
  std::string text(builtin_machine(name));
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    if (at == std::string::npos) {
      ADD_FAILURE() << "the machine has no " << from;
      return nullptr;
    }
    text.replace(at, from.size(), to);
  }
  const auto config = parse_config(text, name);
  if (!config) {
    ADD_FAILURE() << config.error();
    return nullptr;
  }
  auto machine = Machine::create(*config);
  if (!machine) {
    ADD_FAILURE() << machine.error().why;
    return nullptr;
  }
  (*machine)->trace().keep_events(true);
  return std::move(*machine);
}

/// A program in this process: its descriptors, its memory, and the system calls
/// that it makes. Its end closes what is open, in ascending order.
class Program {
 public:
  explicit Program(Machine& machine, std::int32_t pid = 1) : machine_(machine), process_(pid) {}
  ~Program() { process_.files().close_all(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] mm::PlainProcess& process() { return process_; }
  [[nodiscard]] mm::PlainMemory& memory() { return process_.memory(); }
  [[nodiscard]] Machine& machine() { return machine_; }

  Result<int> open(std::string_view path, std::uint32_t flags = O_RDWR) {
    mm::PlainCaller caller(process_);
    TEEIO_ASSIGN(object::Ref<object::File> file, machine_.system_calls().open(caller, path, flags));
    return install(std::move(file));
  }
  /// Gives a descriptor its mapped file, as run/ does before the program has it.
  void make_mappable(int fd) {
    auto mapped = std::make_unique<mm::PlainMappedFile>();
    mapped_[fd] = mapped.get();
    machine_.system_calls().set_mapped_file(*file(fd), std::move(mapped));
  }
  [[nodiscard]] mm::PlainMappedFile& mapped(int fd) { return *mapped_.at(fd); }
  Result<int> install(object::Ref<object::File> file) {
    return process_.files().install(std::move(file));
  }
  object::Ref<object::File> file(int fd) {
    auto found = process_.files().get(fd);
    EXPECT_TRUE(found.has_value()) << "no descriptor " << fd;
    return *found;
  }
  void close(int fd) { EXPECT_TRUE(process_.files().close(fd).has_value()); }

  /// ioctl(2) with the address of `argument`, which the call may change.
  template <class T>
    requires std::is_class_v<T>
  Result<std::int64_t> ioctl(int fd, std::uint32_t command, T& argument) {
    const std::uint64_t at = store(bytes_of(argument));
    auto result = ioctl(fd, command, at);
    EXPECT_TRUE(memory().read(at, writable_bytes_of(argument)).has_value());
    memory().unmap(at);
    return result;
  }
  /// ioctl(2) with a value or a raw address.
  Result<std::int64_t> ioctl(int fd, std::uint32_t command, std::uint64_t argument) {
    mm::PlainCaller caller(process_);
    TEEIO_ASSIGN(const object::Ref<object::File> target, process_.files().get(fd));
    return machine_.system_calls().ioctl(caller, *target, command, argument);
  }
  Result<std::size_t> pread(int fd, std::uint64_t offset, std::span<std::byte> out) {
    mm::PlainCaller caller(process_);
    return machine_.system_calls().read(caller, *file(fd), offset, out);
  }
  Result<std::size_t> pwrite(int fd, std::uint64_t offset, ByteView in) {
    mm::PlainCaller caller(process_);
    return machine_.system_calls().write(caller, *file(fd), offset, in);
  }
  /// mmap(2), shared, readable and writable.
  Result<void> mmap(int fd, std::uint64_t offset, std::uint64_t length) {
    mm::PlainCaller caller(process_);
    constexpr std::uint32_t kReadWrite = 3, kShared = 1;
    return machine_.system_calls().mmap(caller, *file(fd), offset, length, kReadWrite, kShared);
  }

  /// Puts bytes into the program's memory; for calls that need an address.
  std::uint64_t store(ByteView bytes) {
    const std::uint64_t room = (bytes.size() + kPageSize) / kPageSize * kPageSize;
    const std::uint64_t at = memory().map(room);
    EXPECT_TRUE(memory().write(at, bytes).has_value());
    return at;
  }

  /// write(2) of `text` to an attribute, as a shell's echo does.
  Result<std::size_t> echo(std::string_view text, std::string_view path) {
    TEEIO_ASSIGN(const int fd, open(path, O_WRONLY));
    auto done = pwrite(fd, 0, std::as_bytes(std::span(text)));
    close(fd);
    return done;
  }
  std::string cat(std::string_view path) {
    const auto fd = open(path, O_RDONLY);
    if (!fd) return "cannot open";
    std::string text(kPageSize, '\0');
    const auto done = pread(*fd, 0, std::as_writable_bytes(std::span(text)));
    close(*fd);
    text.resize(done.value_or(0));
    return text;
  }

 private:
  Machine& machine_;
  mm::PlainProcess process_;
  std::map<int, mm::PlainMappedFile*> mapped_;
};

}  // namespace teeio::machine::test
