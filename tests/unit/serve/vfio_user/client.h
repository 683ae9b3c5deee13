#pragma once

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "device/dma_engine_card.h"
#include "object/trace.h"
#include "serve/vfio_user/session.h"

namespace teeio::vfio_user {

/// Answers DMA by messages from memory of its own, or not at all.
struct FakeWire final : DmaWire {
  Result<Bytes> exchange(Command command, ByteView payload) override {
    commands.push_back(command);
    if (refuses) return fail(Errno::kIo, "the client is gone");
    Reader r(payload);
    const auto address = r.le<std::uint64_t>();
    const auto count = r.le<std::uint64_t>();
    if (command == Command::kDmaWrite) {
      std::ranges::copy(r.take(count),
                        memory.begin() + static_cast<std::ptrdiff_t>(address - base));
      return Writer().le(address).le(count).take();
    }
    return Writer()
        .le(address)
        .le(count + lies)
        .bytes(ByteView(memory).subspan(address - base, count))
        .take();
  }

  std::uint64_t base = 0x10000;
  Bytes memory = Bytes(0x4000);
  bool refuses = false;
  std::uint64_t lies = 0;
  std::vector<Command> commands;
};

/// A client's end of a session with a DMA-engine card's function, without sockets.
class Client {
 public:
  explicit Client(std::size_t function = 0, device::DmaEngineCard::Options options = {})
      : card_(trace_, placed(std::move(options))),
        function_(*card_.functions().at(function)),
        session_(function_, wire) {}

  Answer send(Command command, ByteView payload = {}, std::vector<Fd> fds = {},
              std::uint32_t flags = 0) {
    const auto size = static_cast<std::uint32_t>(Header::kSize + payload.size());
    return session_.handle({{.id = 7, .command = command, .size = size, .flags = flags},
                            Bytes(payload.begin(), payload.end()),
                            std::move(fds)});
  }
  /// 0: answered without an error.
  static int error_of(const Answer& answer) {
    if (answer.bytes.size() < Header::kSize) return -1;
    const Header header = Header::decode(ByteView(answer.bytes).first<Header::kSize>());
    if (!header.is_reply() || header.size != answer.bytes.size() || header.id != 7) return -2;
    if ((header.flags & Header::kError) == 0) return 0;
    return answer.bytes.size() == Header::kSize ? static_cast<int>(header.error) : -3;
  }
  static ByteView payload_of(const Answer& answer) {
    return ByteView(answer.bytes).subspan(Header::kSize);
  }
  Answer version(std::string_view data, std::uint16_t major = 0, std::uint16_t minor = 0) {
    return send(Command::kVersion,
                Writer().le(major).le(minor).bytes(std::as_bytes(std::span(data))).take());
  }
  Client& agree() {
    using namespace std::string_view_literals;
    (void)version(R"({"capabilities":{"max_msg_fds":8,"write_multiple":true}})"
                  "\0"sv);
    return *this;
  }

  int map(std::uint64_t address, std::uint64_t size, int fd = -1, std::uint32_t flags = 3,
          std::uint64_t offset = 0) {
    std::vector<Fd> fds;
    if (fd >= 0) fds.emplace_back(::dup(fd));
    return error_of(send(Command::kDmaMap,
                         Writer().le(32U).le(flags).le(offset).le(address).le(size).take(),
                         std::move(fds)));
  }
  int unmap(std::uint64_t address, std::uint64_t size, std::uint32_t flags = 0) {
    return error_of(
        send(Command::kDmaUnmap, Writer().le(24U).le(flags).le(address).le(size).take()));
  }
  int write(std::uint32_t region, std::uint64_t offset, ByteView data) {
    return error_of(send(Command::kRegionWrite, Writer()
                                                    .le(offset)
                                                    .le(region)
                                                    .le(static_cast<std::uint32_t>(data.size()))
                                                    .bytes(data)
                                                    .take()));
  }
  template <std::unsigned_integral T>
  int write_le(std::uint32_t region, std::uint64_t offset, T value) {
    return write(region, offset, Writer().le(value).take());
  }
  Answer read(std::uint32_t region, std::uint64_t offset, std::uint32_t count) {
    return send(Command::kRegionRead, Writer().le(offset).le(region).le(count).take());
  }
  template <std::unsigned_integral T>
  T read_le(std::uint32_t region, std::uint64_t offset) {
    const Answer answer = read(region, offset, sizeof(T));
    if (error_of(answer) != 0) return T{0xee};
    return Reader(payload_of(answer).subspan(RegionAccess::kSize)).le<T>();
  }
  int set_irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
               std::vector<Fd> fds = {}, ByteView data = {}) {
    return error_of(
        send(Command::kDeviceSetIrqs,
             Writer().le(20U).le(flags).le(index).le(start).le(count).bytes(data).take(),
             std::move(fds)));
  }

  static device::DmaEngineCard::Options placed(device::DmaEngineCard::Options options) {
    options.pf = {.bus = 1};
    options.window = Hpa{0x3800'0000'0000};
    options.bars_move = true;
    return options;
  }
  Function& function() { return function_; }
  Session& session() { return session_; }
  FakeWire wire;

 private:
  object::Trace trace_;
  device::DmaEngineCard card_;
  Function function_;
  Session session_;
};

/// How often an eventfd was signalled since the last look.
inline std::uint64_t count_of(const Fd& event) {
  std::uint64_t count = 0;
  return ::read(event.get(), &count, sizeof(count)) == sizeof(count) ? count : 0;
}
inline Fd make_event() { return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
inline Fd copy_of(const Fd& fd) { return Fd(::dup(fd.get())); }
inline Fd make_memory(std::uint64_t size) {
  Fd fd(::memfd_create("client", MFD_CLOEXEC));
  (void)!::ftruncate(fd.get(), static_cast<off_t>(size));
  return fd;
}
template <class... Fds>
std::vector<Fd> list_of(Fds... fds) {
  std::vector<Fd> list;
  (list.push_back(std::move(fds)), ...);
  return list;
}

}  // namespace teeio::vfio_user
