#pragma once

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "machine/machine.h"
#include "schedule/raw_lock.h"

namespace teeio::machine {

/// A program in this process: descriptors, memory, and the system calls that it
/// makes, each with Linux's errno. Explorer, embedders and tests drive a machine
/// through it; `teeio run` has real programs instead.
///
/// Lifetime: its machine outlives it. Its end closes what is open, in ascending
/// order, as the end of a process does.
/// Locking: several tasks may call, as threads of one process. What the program
/// does in its own memory is no scheduling point.
class Program {
 public:
  explicit Program(Machine& machine, std::int32_t pid = 1) : machine_(machine), process_(pid) {}
  ~Program() { exit(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] mm::PlainProcess& process() { return process_; }
  [[nodiscard]] mm::PlainMemory& memory() { return process_.memory(); }

  /// exit_group(2), or a SIGKILL that arrives between two calls.
  void exit() { process_.files().close_all(); }

  Result<int> open(std::string_view path, std::uint32_t flags = O_RDWR);
  Result<void> close(int fd) { return process_.files().close(fd); }
  Result<int> dup(int fd) { return process_.files().dup(fd); }
  /// The open file behind a descriptor. Errors: EBADF.
  Result<object::Ref<object::File>> file(int fd) { return process_.files().get(fd); }
  /// A descriptor for a file that another program sent. Errors: EMFILE.
  Result<int> install(object::Ref<object::File> file) {
    return process_.files().install(std::move(file));
  }

  /// ioctl(2) with the address of `argument`, which the call may change.
  template <class T>
    requires std::is_class_v<T>
  Result<std::int64_t> ioctl(int fd, std::uint32_t command, T& argument) {
    return ioctl_bytes(fd, command, writable_bytes_of(argument));
  }
  /// ioctl(2) with a value or a raw address.
  Result<std::int64_t> ioctl(int fd, std::uint32_t command, std::uint64_t argument);
  Result<std::size_t> pread(int fd, std::uint64_t offset, std::span<std::byte> out);
  Result<std::size_t> pwrite(int fd, std::uint64_t offset, ByteView in);
  /// mmap(2), shared, readable and writable.
  Result<void> mmap(int fd, std::uint64_t offset, std::uint64_t length);

  /// Gives a descriptor its mapped file, as run/ does before the program has it.
  /// Errors: EBADF.
  Result<void> make_mappable(int fd);
  /// Precondition: make_mappable().
  [[nodiscard]] mm::PlainMappedFile& mapped(int fd) { return *mapped_.at(fd); }

  /// Puts bytes into the program's memory for good; for calls that need an address.
  std::uint64_t store(ByteView bytes);

  /// write(2) of `text` to an attribute, as a shell's echo does.
  Result<std::size_t> echo(std::string_view text, std::string_view path);
  /// read(2) of an attribute, at most a page.
  Result<std::string> cat(std::string_view path);

 private:
  /// A page of the program's memory that holds one call's argument.
  class Scratch {
   public:
    explicit Scratch(Program& program);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    const std::uint64_t address;

   private:
    Program& program_;
  };
  Result<std::int64_t> ioctl_bytes(int fd, std::uint32_t command, std::span<std::byte> argument);
  std::uint64_t take_scratch();

  Machine& machine_;
  mm::PlainProcess process_;
  std::map<int, mm::PlainMappedFile*> mapped_;
  // no Turn: which of its pages a call gets nobody can tell
  schedule::RawLock scratch_lock_;
  std::vector<std::uint64_t> scratch_ TEEIO_GUARDED_BY(scratch_lock_);  ///< pages that no call uses
};

}  // namespace teeio::machine
