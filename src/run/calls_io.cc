#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "run/dispatch.h"
#include "run/file_position.h"
#include "run/words.h"

namespace teeio::run {
namespace {

constexpr std::size_t kChunk = std::size_t{64} * 1024;  // what is copied at once
constexpr std::size_t kAttributeWrite = 4096;           // Linux: kernfs_fop_write_iter(), PAGE_SIZE
constexpr std::uint64_t kMaxVectors = 1024;             // Linux: UIO_MAXIOV
constexpr std::uint64_t kMaxCount = 0x7ffff000;         // Linux: MAX_RW_COUNT

/// One read or write, whatever the system call's shape.
struct Transfer {
  std::vector<iovec> parts;             ///< in the program
  std::optional<std::uint64_t> offset;  ///< nullopt: the file's own position
  std::uint64_t count = 0;              ///< bytes
};

bool is_vector(std::uint32_t number) {
  return number == SYS_readv || number == SYS_writev || number == SYS_preadv ||
         number == SYS_pwritev || number == SYS_preadv2 || number == SYS_pwritev2;
}
bool has_offset(std::uint32_t number) {
  return number != SYS_read && number != SYS_write && number != SYS_readv && number != SYS_writev;
}

Result<Transfer> transfer_of(Call& call, const Row& row) {
  Transfer transfer;
  if (has_offset(row.number)) {
    transfer.offset = call.arg(3);
    // preadv2's -1 is "the file's own position".
    const bool own = row.number == SYS_preadv2 || row.number == SYS_pwritev2;
    if (own && *transfer.offset == ~std::uint64_t{0})
      transfer.offset.reset();
    else if (static_cast<std::int64_t>(*transfer.offset) < 0)
      return fail(Errno::kInval, "the offset is negative");
  }
  if (is_vector(row.number)) {
    if (call.arg(2) > kMaxVectors) return fail(Errno::kInval, "too many vectors");
    transfer.parts.resize(call.arg(2));
    TEEIO_TRY(call.memory().read(call.arg(1), std::as_writable_bytes(std::span(transfer.parts))));
  } else {
    transfer.parts.push_back({reinterpret_cast<void*>(call.arg(1)), call.arg(2)});
  }
  for (iovec& part : transfer.parts) {
    part.iov_len = std::min(part.iov_len, kMaxCount - transfer.count);
    transfer.count += part.iov_len;
  }
  return transfer;
}

std::uint64_t address_of(const iovec& part) {
  return reinterpret_cast<std::uint64_t>(part.iov_base);
}

/// As much as is copied at once of a file with such records.
std::size_t chunk_of(Call& call, const DeviceFile& file) {
  const std::size_t record = call.context().machine.record_bytes(*file.file);
  return kChunk / record * record;
}

/// Runs `step(address, offset, size)` over the parts, in chunks; a short or failed step
/// ends it, and a failure counts only when nothing was done before.
template <class Step>
Result<std::size_t> each_chunk(const Transfer& transfer, std::uint64_t offset, std::size_t chunk,
                               Step step) {
  std::size_t done = 0;
  for (const iovec& part : transfer.parts)
    for (std::size_t in_part = 0; in_part < part.iov_len;) {
      const std::size_t size = std::min(chunk, part.iov_len - in_part);
      const Result<std::size_t> moved = step(address_of(part) + in_part, offset + done, size);
      if (!moved && done == 0) return moved;
      if (!moved) return done;
      done += *moved;
      in_part += *moved;
      if (*moved < size) return done;
    }
  return done;
}

/// A queue refuses an empty read; for vectors, Linux does not ask it.
bool asks_queue(Call& call, const DeviceFile& file, const Transfer& transfer) {
  return transfer.count == 0 && transfer.parts.size() == 1 &&
         call.context().machine.polling(*file.file) != entry::SystemCalls::Polling::kAlways;
}

Result<std::size_t> read_device(Call& call, const DeviceFile& file, const Transfer& transfer,
                                std::uint64_t offset) {
  if (asks_queue(call, file, transfer))
    return call.context().machine.read(call, *file.file, offset, {});
  Bytes buffer(std::min<std::size_t>(kChunk, transfer.count));
  return each_chunk(
      transfer, offset, chunk_of(call, file),
      [&](std::uint64_t to, std::uint64_t at, std::size_t size) -> Result<std::size_t> {
        const std::span<std::byte> piece(buffer.data(), size);
        const auto got = call.context().machine.read(call, *file.file, at, piece);
        if (!got || call.memory().write(to, piece.first(*got))) return got;
        call.context().machine.put_back(*file.file, piece.first(*got));
        return fail(Errno::kFault, "the buffer cannot be written");
      });
}

Result<std::size_t> write_device(Call& call, const DeviceFile& file, const Transfer& transfer,
                                 std::uint64_t offset) {
  Bytes buffer(std::min<std::size_t>(kChunk, transfer.count));
  return each_chunk(
      transfer, offset, chunk_of(call, file),
      [&](std::uint64_t from, std::uint64_t at, std::size_t size) -> Result<std::size_t> {
        const std::span<std::byte> piece(buffer.data(), size);
        TEEIO_TRY(call.memory().read(from, piece));
        return call.context().machine.write(call, *file.file, at, piece);
      });
}

/// One call of the attribute's store(): the vectors together, a page at most.
Result<std::size_t> write_attribute(Call& call, const DeviceFile& file, const Transfer& transfer,
                                    std::uint64_t offset) {
  Bytes bytes(std::min<std::size_t>(kAttributeWrite, transfer.count));
  std::size_t filled = 0;
  for (const iovec& part : transfer.parts) {
    const std::size_t size = std::min(part.iov_len, bytes.size() - filled);
    TEEIO_TRY(call.memory().read(address_of(part), std::span(bytes).subspan(filled, size)));
    filled += size;
  }
  return call.context().machine.write(call, *file.file, offset, bytes);
}

std::string target(std::string_view name, int fd) {
  return std::to_string(fd).append("<").append(name).append(">");
}
std::string target(const DeviceFile& file, int fd) { return target(file.name, fd); }

/// `data`: the first bytes, as far as they are known, of `size`.
void describe_transfer(Call& call, const Row& row, const DeviceFile& file, const Transfer& transfer,
                       ByteView data, std::size_t size) {
  if (!call.context().describes()) return;
  char text[64];
  if (transfer.offset)
    std::snprintf(text, sizeof(text), ", %lu, 0x%lx)", transfer.count, *transfer.offset);
  else
    std::snprintf(text, sizeof(text), ", %lu)", transfer.count);
  const std::string bytes = data.empty() && size != 0 ? "..." : quoted(data, size);
  call.describe(std::string(row.name) + "(" + target(file, call.int_arg(0)) + ", " + bytes + text);
}

/// The same, with the first of `size` bytes from the program's memory.
void describe_transfer(Call& call, const Row& row, const DeviceFile& file, const Transfer& transfer,
                       std::size_t size) {
  if (!call.context().describes()) return;
  Bytes data(
      transfer.parts.empty() ? 0 : std::min({size, kShownBytes, transfer.parts.front().iov_len}));
  if (!data.empty() && !call.memory().read(address_of(transfer.parts.front()), data)) data.clear();
  describe_transfer(call, row, file, transfer, data, size);
}

bool may_read(const DeviceFile& file) { return (file.flags & O_ACCMODE) != O_WRONLY; }
bool may_write(const DeviceFile& file) { return (file.flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

/// Unless --inject has something else for it.
static Result<std::int64_t> carry_out(Call& call, object::File& file, std::uint32_t command) {
  Context& context = call.context();
  if (context.injector != nullptr)
    if (const auto instead = call.injected(context.machine.ioctl_name(file, command)))
      return std::unexpected(*instead);
  return context.machine.ioctl(call, file, command, call.arg(2));
}

/// `name` is the file's.
static Reply answer_ioctl(Call& call, const Row& row, object::File& file, std::string_view name) {
  const std::uint32_t command = call.word_arg(1);
  call.enter_machine(call.int_arg(0));
  Context& context = call.context();
  const auto result = carry_out(call, file, command);
  if (context.witness != nullptr && result)
    context.witness->answered(command, call.arg(2), *result);
  if (context.log.traces_calls() || (context.witness != nullptr && !result))
    call.describe(std::string(row.name) + "(" + target(name, call.int_arg(0)) + ", " +
                  context.machine.describe(call, file, command, call.arg(2)) + ")");
  return Reply::of(result);
}

/// A file that is none of ours: the kernel answers, but for what the machine takes over.
static Reply foreign_ioctl(Call& call, const Row& row) {
  const auto file =
      call.context().machine.stand_in(call, call.int_arg(0), call.word_arg(1), call.arg(2));
  if (!file) return Reply::of(file.error());
  return *file ? answer_ioctl(call, row, **file, "anon_inode:kvm-vm") : Reply::go_on();
}

Reply on_ioctl(Call& call, const Row& row) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return foreign_ioctl(call, row);
  const std::uint32_t command = call.word_arg(1);
  // FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC belong to the VFS.
  if (command == 0x5451 || command == 0x5450 || command == 0x5421 || command == 0x5452)
    return Reply::go_on();
  if (device->is_attribute()) return Reply::of(Error{Errno::kNoTty, "an attribute has no ioctl"});
  return answer_ioctl(call, row, *device->file, device->name);
}

Result<Bytes> refresh(Call& call, const DeviceFile& file, std::uint64_t offset, std::size_t count) {
  Bytes bytes(std::min(count, kChunk));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const std::span<std::byte> rest = std::span(bytes).subspan(filled);
    TEEIO_ASSIGN(const std::size_t got,
                 call.context().machine.read(call, *file.file, offset + filled, rest));
    if (got == 0) break;
    filled += got;
  }
  const int fd = file.backing->fd.get();
  if (::pwrite(fd, bytes.data(), filled, static_cast<off_t>(offset)) !=
      static_cast<ssize_t>(filled))
    return std::unexpected(no_room());
  if (filled < bytes.size()) (void)!::ftruncate(fd, static_cast<off_t>(offset + filled));
  bytes.resize(filled);
  return bytes;
}

Reply on_read(Call& call, const Row& row) {
  const int fd = call.int_arg(0);
  const DeviceFileRef device = call.ours(fd);
  if (!device || !may_read(*device)) return Reply::go_on();
  const Result<Transfer> transfer = transfer_of(call, row);
  if (!transfer) return Reply::of(transfer.error());
  call.enter_machine(fd);
  describe_transfer(call, row, *device, *transfer, {}, transfer->count);
  if (const auto instead = call.injected(row.name, *device)) return Reply::of(*instead);
  if (device->is_attribute()) {
    const std::uint64_t offset =
        transfer->offset ? *transfer->offset : FilePosition(call, fd).offset();
    const Result<Bytes> fresh = refresh(call, *device, offset, transfer->count);
    if (!fresh) return Reply::of(fresh.error());
    describe_transfer(call, row, *device, *transfer, *fresh, fresh->size());
    return transfer->count <= kChunk ? Reply::go_on(static_cast<std::int64_t>(fresh->size()))
                                     : Reply::go_on();
  }
  if (transfer->offset && !call.context().machine.position(*device->file).positional)
    return Reply::of(Error{Errno::kSPipe, "the file has no positions"});
  std::optional<FilePosition> position;
  if (!transfer->offset) position.emplace(call, fd);
  const auto done =
      read_device(call, *device, *transfer, position ? position->offset() : *transfer->offset);
  if (done && position) position->advance(*done);
  if (done) describe_transfer(call, row, *device, *transfer, *done);
  return Reply::of(done);
}

Reply on_write(Call& call, const Row& row) {
  const int fd = call.int_arg(0);
  const DeviceFileRef device = call.ours(fd);
  if (!device || !may_write(*device)) return Reply::go_on();
  const Result<Transfer> transfer = transfer_of(call, row);
  if (!transfer) return Reply::of(transfer.error());
  call.enter_machine(fd);
  describe_transfer(call, row, *device, *transfer, transfer->count);
  if (const auto instead = call.injected(row.name, *device)) return Reply::of(*instead);
  if (transfer->offset && !call.context().machine.position(*device->file).positional)
    return Reply::of(Error{Errno::kSPipe, "the file has no positions"});
  const auto write = device->is_attribute() ? write_attribute : write_device;
  std::optional<FilePosition> position;
  if (!transfer->offset) position.emplace(call, fd);
  const std::uint64_t offset = position ? position->offset() : *transfer->offset;
  const auto done = write(call, *device, *transfer, offset);
  if (done && position) position->advance(*done);
  return Reply::of(done);
}

Reply on_copy(Call& call, const Row& row) {
  const bool out_first = row.number == SYS_sendfile;
  const DeviceFileRef out = call.ours(call.int_arg(out_first ? 0 : 2));
  // Callers fall back to read and write.
  if (out) return Reply::of(Error{Errno::kInval, "no bytes are moved into our files"});
  const DeviceFileRef in = call.ours(call.int_arg(out_first ? 1 : 0));
  if (!in) return Reply::go_on();
  if (!in->is_attribute()) return Reply::of(Error{Errno::kInval, "a device has no splice"});
  call.enter_machine(call.int_arg(out_first ? 1 : 0));
  if (const auto instead = call.injected(row.name, *in)) return Reply::of(*instead);
  const Result<Bytes> fresh = refresh(call, *in, 0, kChunk);
  return fresh ? Reply::go_on() : Reply::of(fresh.error());
}

Reply on_mmap(Call& call, const Row& row) {
  const int fd = call.int_arg(4);
  const DeviceFileRef device = call.ours(fd);
  if (!device) return Reply::go_on();
  call.enter_machine(fd);
  if (call.context().describes()) {
    char text[80];
    std::snprintf(text, sizeof(text), ", offset=0x%lx, length=0x%lx, ", call.arg(5), call.arg(1));
    call.describe(std::string(row.name) + "(" + target(*device, fd) + text +
                  protection_text(call.word_arg(2)) + ", " + map_flags_text(call.word_arg(3)) +
                  ")");
  }
  if (const auto instead = call.injected(row.name, *device)) return Reply::of(*instead);
  // Linux do_mmap(): a shared mapping of what was not opened for writing is one
  // for reading that cannot become another.
  std::uint32_t flags = call.word_arg(3);
  if (!may_write(*device) && (flags & MAP_TYPE) != MAP_PRIVATE) {
    if ((call.word_arg(2) & PROT_WRITE) != 0)
      return Reply::of(Error{Errno::kAcces, "the file is open for reading only"});
    flags = (flags & ~static_cast<std::uint32_t>(MAP_TYPE)) | MAP_PRIVATE;
  }
  const auto allowed = call.context().machine.mmap(call, *device->file, call.arg(5), call.arg(1),
                                                   call.word_arg(2), flags);
  return allowed ? Reply::go_on() : Reply::of(allowed.error());
}

Reply on_resize(Call& call, const Row&) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return Reply::go_on();
  if (device->is_attribute()) return Reply::of(std::int64_t{0});
  return Reply::of(Error{Errno::kInval, "a device has no size"});
}

Reply on_fallocate(Call& call, const Row&) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return Reply::go_on();
  if (!may_write(*device)) return Reply::go_on();  // EBADF, or the mode's error first
  call.enter_machine(call.int_arg(0));
  if (const auto instead = call.injected("fallocate", *device)) return Reply::of(*instead);
  return Reply::of(call.context().machine.fallocate(call, *device->file, call.word_arg(1),
                                                    static_cast<std::int64_t>(call.arg(2)),
                                                    static_cast<std::int64_t>(call.arg(3))));
}

/// generic_file_llseek() where the size counts: the attribute's nominal one, not
/// that of the text that stands behind it here.
static Reply seek_attribute(Call& call, const DeviceFile& file) {
  const int whence = call.int_arg(2);
  if (whence == SEEK_SET || whence == SEEK_CUR) return Reply::go_on();
  const auto size = static_cast<off_t>(call.context().machine.stat(*file.file).size);
  const auto offset = static_cast<off_t>(call.arg(1));
  off_t target = offset;
  if (whence == SEEK_END) {
    target = size + offset;
    if (target < 0) return Reply::of(Error{Errno::kInval, "before the start of the file"});
  } else if (whence == SEEK_DATA || whence == SEEK_HOLE) {
    if (offset < 0 || offset >= size) return Reply::of(Error{Errno::kNxio, "beyond the end"});
    if (whence == SEEK_HOLE) target = size;
  } else {
    return Reply::go_on();
  }
  FilePosition(call, call.int_arg(0)).move_to(target);
  return Reply::of(std::int64_t{target});
}

/// The machine's files stay at position 0, but for attributes, whose real file
/// has the position.
Reply on_lseek(Call& call, const Row&) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return Reply::go_on();
  if (device->is_attribute()) return seek_attribute(call, *device);
  const auto position = call.context().machine.position(*device->file);
  if (!position.seekable) return Reply::of(Error{Errno::kSPipe, "the file has no position"});
  const int whence = call.int_arg(2);
  if (!position.from_end) return Reply::of(std::int64_t{0});
  if ((whence != SEEK_SET && whence != SEEK_END) || call.arg(1) != 0)
    return Reply::of(Error{Errno::kInval, "a dma-buf's position is its start or its end"});
  const std::uint64_t size = call.context().machine.stat(*device->file).size;
  return Reply::of(whence == SEEK_END ? static_cast<std::int64_t>(size) : std::int64_t{0});
}

Reply on_sync(Call& call, const Row&) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device || device->is_attribute()) return Reply::go_on();
  return Reply::of(Error{Errno::kInval, "the file has nothing to write back"});
}

}  // namespace teeio::run
