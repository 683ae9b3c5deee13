#include "machine/program.h"

#include <functional>
#include <memory>
#include <utility>

#include "base/check.h"
#include "machine/answer_watch.h"
#include "object/trace.h"

namespace teeio::machine {
namespace {

/// Events say under which number the program called, as run/ says it.
object::Origin under(int fd) { return {.pid = 0, .tid = 0, .fd = fd, .call = {}}; }

/// Of the explored process, natively.
std::function<void(ByteView)>& answer_watch() {
  static std::function<void(ByteView)> watch;
  return watch;
}

/// What differs from what was given: addresses of the program's memory are its own business.
void tell_answer(ByteView given, ByteView answer) {
  Bytes changed(answer.begin(), answer.end());
  for (std::size_t i = 0; i < given.size(); ++i) changed[i] ^= given[i];
  answer_watch()(changed);
}

}  // namespace

void watch_answers(std::function<void(ByteView)> watch) { answer_watch() = std::move(watch); }

Result<int> Program::open(std::string_view path, std::uint32_t flags) {
  mm::PlainCaller caller(process_);
  TEEIO_ASSIGN(object::Ref<object::File> file, machine_.system_calls().open(caller, path, flags));
  return install(std::move(file));
}

Result<std::int64_t> Program::ioctl(int fd, std::uint32_t command, std::uint64_t argument) {
  const object::DelayedPuts puts;  // a close meanwhile makes our reference the last
  mm::PlainCaller caller(process_);
  TEEIO_ASSIGN(const object::Ref<object::File> target, file(fd));
  const object::OriginScope origin(under(fd));
  return machine_.system_calls().ioctl(caller, *target, command, argument);
}

Result<std::int64_t> Program::ioctl_bytes(int fd, std::uint32_t command,
                                          std::span<std::byte> argument) {
  const Scratch scratch(*this);
  TEEIO_CHECK(argument.size() <= kPageSize, "an ioctl's argument is larger than a page");
  const Bytes given = answer_watch() ? Bytes(argument.begin(), argument.end()) : Bytes();
  TEEIO_TRY(memory().write(scratch.address, argument));
  auto result = ioctl(fd, command, scratch.address);
  TEEIO_TRY(memory().read(scratch.address, argument));
  if (answer_watch()) tell_answer(given, argument);
  return result;
}

Result<std::size_t> Program::pread(int fd, std::uint64_t offset, std::span<std::byte> out) {
  const object::DelayedPuts puts;
  mm::PlainCaller caller(process_);
  TEEIO_ASSIGN(const object::Ref<object::File> target, file(fd));
  const object::OriginScope origin(under(fd));
  const auto done = machine_.system_calls().read(caller, *target, offset, out);
  if (done && answer_watch()) tell_answer({}, out.first(*done));
  return done;
}

Result<std::size_t> Program::pwrite(int fd, std::uint64_t offset, ByteView in) {
  const object::DelayedPuts puts;
  mm::PlainCaller caller(process_);
  TEEIO_ASSIGN(const object::Ref<object::File> target, file(fd));
  const object::OriginScope origin(under(fd));
  return machine_.system_calls().write(caller, *target, offset, in);
}

Result<void> Program::mmap(int fd, std::uint64_t offset, std::uint64_t length) {
  const object::DelayedPuts puts;
  mm::PlainCaller caller(process_);
  TEEIO_ASSIGN(const object::Ref<object::File> target, file(fd));
  const object::OriginScope origin(under(fd));
  constexpr std::uint32_t kReadWrite = 3, kShared = 1;
  return machine_.system_calls().mmap(caller, *target, offset, length, kReadWrite, kShared);
}

Result<void> Program::make_mappable(int fd) {
  TEEIO_ASSIGN(const object::Ref<object::File> target, file(fd));
  auto mapped = std::make_unique<mm::PlainMappedFile>();
  mapped_[fd] = mapped.get();
  machine_.system_calls().set_mapped_file(*target, std::move(mapped));
  return {};
}

std::uint64_t Program::store(ByteView bytes) {
  const std::uint64_t room = (bytes.size() + kPageSize) / kPageSize * kPageSize;
  const std::uint64_t at = memory().map(room);
  TEEIO_CHECK(memory().write(at, bytes).has_value(), "a program cannot write its own memory");
  return at;
}

Result<std::size_t> Program::echo(std::string_view text, std::string_view path) {
  TEEIO_ASSIGN(const int fd, open(path, O_WRONLY));
  auto done = pwrite(fd, 0, std::as_bytes(std::span(text)));
  TEEIO_TRY(close(fd));
  return done;
}

Result<std::string> Program::cat(std::string_view path) {
  TEEIO_ASSIGN(const int fd, open(path, O_RDONLY));
  std::string text(kPageSize, '\0');
  const auto done = pread(fd, 0, std::as_writable_bytes(std::span(text)));
  TEEIO_TRY(close(fd));
  TEEIO_TRY(done);
  text.resize(*done);
  return text;
}

Program::Scratch::Scratch(Program& program) : address(program.take_scratch()), program_(program) {}

Program::Scratch::~Scratch() {
  const schedule::RawLockGuard guard(program_.scratch_lock_);
  program_.scratch_.push_back(address);
}

std::uint64_t Program::take_scratch() {
  {
    const schedule::RawLockGuard guard(scratch_lock_);
    if (!scratch_.empty()) {
      const std::uint64_t address = scratch_.back();
      scratch_.pop_back();
      return address;
    }
  }
  return memory().map(kPageSize);
}

}  // namespace teeio::machine
