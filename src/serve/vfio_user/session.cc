#include "serve/vfio_user/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace teeio::vfio_user {
namespace {

// VFIO_DEVICE_FLAGS_*, VFIO_REGION_INFO_FLAG_*. Source: Linux include/uapi/linux/vfio.h.
constexpr std::uint32_t kDeviceReset = 1;
constexpr std::uint32_t kDevicePci = 2;
constexpr std::uint32_t kRegionReadable = 1;
constexpr std::uint32_t kRegionWritable = 2;

// Payloads. Source: QEMU docs/interop/vfio-user.rst.
constexpr std::uint32_t kDeviceInfoBytes = 16;
constexpr std::uint32_t kRegionInfoBytes = 32;
constexpr std::uint32_t kIoFdsBytes = 16;
constexpr std::uint32_t kIrqInfoBytes = 16;
/// A write of REGION_WRITE_MULTI has room for so many bytes.
constexpr std::size_t kMultiData = 8;
constexpr std::uint64_t kMaxMulti = 4096;

}  // namespace

Session::Session(Function& function, DmaWire& wire) : function_(function), memory_(wire) {
  function_.take(memory_);
}

Session::~Session() { function_.give_back(); }

Answer Session::handle(Message message) {
  Reply reply;
  reply.payload.zeros(Header::kSize);
  const auto done = carry_out(message, reply);
  Answer answer;
  answer.close = reply.close;
  if (!done) answer.refused = done.error().why;
  if (!message.header.wants_reply()) return answer;
  if (done) {
    answer.bytes = reply.payload.take();
    answer.fds = std::move(reply.fds);
  } else {
    answer.bytes.resize(Header::kSize);
  }
  Header header = message.header;
  header.size = static_cast<std::uint32_t>(answer.bytes.size());
  header.flags = Header::kReply | (done ? 0U : Header::kError);
  header.error = done ? 0U : std::to_underlying(done.error().code);
  header.encode(std::span(answer.bytes).first<Header::kSize>());
  return answer;
}

Result<void> Session::carry_out(Message& message, Reply& reply) {
  const Command command = message.header.command;
  if (!agreed_ && command != Command::kVersion) {
    reply.close = true;
    return fail(Errno::kInval, "the first message must be VERSION");
  }
  const bool takes_fds = command == Command::kDmaMap || command == Command::kDeviceSetIrqs;
  if (!takes_fds && !message.fds.empty())
    return fail(Errno::kInval, "the message brings descriptors that nobody asked for");
  switch (command) {
    case Command::kVersion:
      return version(message, reply);
    case Command::kDmaMap:
      return dma_map(message);
    case Command::kDmaUnmap:
      return dma_unmap(message, reply);
    case Command::kDeviceGetInfo:
      return device_info(message, reply);
    case Command::kDeviceGetRegionInfo:
      return region_info(message, reply);
    case Command::kDeviceGetRegionIoFds:
      return region_io_fds(message, reply);
    case Command::kDeviceGetIrqInfo:
      return irq_info(message, reply);
    case Command::kDeviceSetIrqs:
      return set_irqs(message);
    case Command::kRegionRead:
      return region_read(message, reply);
    case Command::kRegionWrite:
      return region_write(message, reply);
    case Command::kDeviceReset:
      function_.reset();
      return {};
    case Command::kRegionWriteMulti:
      return region_write_multi(message, reply);
    case Command::kDirtyPages:
    case Command::kDeviceFeature:
    case Command::kMigDataRead:
    case Command::kMigDataWrite:
      return fail(Errno::kOpNotSupp, "migration is not supported");
    case Command::kDmaRead:
    case Command::kDmaWrite:
      return fail(Errno::kInval, "this command is the server's to send");
  }
  return fail(Errno::kInval, "there is no such command");
}

Result<void> Session::version(const Message& message, Reply& reply) {
  if (agreed_) return fail(Errno::kInval, "the version was agreed on already");
  Reader r(message.payload);
  const auto major = r.le<std::uint16_t>();
  const auto minor = r.le<std::uint16_t>();
  reply.close = true;  // unless all of it makes sense
  if (!r.ok()) return fail(Errno::kInval, "VERSION is too short");
  if (major != kMajor) return fail(Errno::kInval, "the major version must be 0");
  const ByteView data = r.rest();
  TEEIO_ASSIGN(client_,
               Capabilities::parse({reinterpret_cast<const char*>(data.data()), data.size()}));
  std::array<int, 2> pair{-1, -1};
  const bool twin = client_.twin_socket && client_.max_fds > 0 &&
                    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0;
  if (twin) {
    twin_ = Fd(pair[0]);
    reply.fds.emplace_back(pair[1]);
  }
  memory_.set_max_transfer(client_.max_data_transfer);
  const std::string text = offered_capabilities(client_, twin);
  reply.payload.le(kMajor).le(std::min(minor, kMinor)).bytes(std::as_bytes(std::span(text)));
  reply.close = false;
  agreed_ = true;
  return {};
}

Result<void> Session::dma_map(const Message& message) {
  TEEIO_ASSIGN(const DmaMap request, DmaMap::decode(message.payload));
  if (message.fds.size() > 1) return fail(Errno::kInval, "a mapping has one descriptor, or none");
  return memory_.map(request, message.fds.empty() ? -1 : message.fds.front().get());
}

Result<void> Session::dma_unmap(const Message& message, Reply& reply) {
  TEEIO_ASSIGN(const DmaUnmap request, DmaUnmap::decode(message.payload));
  TEEIO_TRY(memory_.unmap(request));
  reply.payload.le(request.argsz).le(request.flags).le(request.address).le(request.size);
  return {};
}

Result<void> Session::device_info(const Message& message, Reply& reply) const {
  TEEIO_TRY(InfoRequest::decode(message.payload, kDeviceInfoBytes));
  reply.payload.le(kDeviceInfoBytes).le(kDeviceReset | kDevicePci).le(kRegions).le(kIrqIndices);
  return {};
}

Result<void> Session::region_info(const Message& message, Reply& reply) const {
  TEEIO_ASSIGN(const InfoRequest request, InfoRequest::decode(message.payload, kRegionInfoBytes));
  if (request.index >= kRegions) return fail(Errno::kInval, "there is no such region");
  const std::uint64_t size = function_.regions().size(request.index);
  // None can be mapped: what a TDI does not answer while it is locked must not be reached.
  reply.payload.le(kRegionInfoBytes)
      .le(size == 0                     ? 0U
          : request.index == kRomRegion ? kRegionReadable
                                        : kRegionReadable | kRegionWritable)
      .le(request.index)
      .le(std::uint32_t{0})
      .le(size)
      .le(std::uint64_t{0});
  return {};
}

/// A region without such descriptors has an array of none, as libvfio-user answers.
Result<void> Session::region_io_fds(const Message& message, Reply& reply) const {
  TEEIO_ASSIGN(const InfoRequest request, InfoRequest::decode(message.payload, kIoFdsBytes));
  if (request.index >= kRegions || request.flags != 0)
    return fail(Errno::kInval, "there is no such region, or flags are set");
  reply.payload.le(kIoFdsBytes).le(std::uint32_t{0}).le(request.index).le(std::uint32_t{0});
  return {};
}

Result<void> Session::irq_info(const Message& message, Reply& reply) const {
  TEEIO_ASSIGN(const InfoRequest request, InfoRequest::decode(message.payload, kIrqInfoBytes));
  if (request.index >= kIrqIndices) return fail(Errno::kInval, "there is no such interrupt index");
  const IrqLines::Info info = function_.irqs().info(request.index);
  reply.payload.le(kIrqInfoBytes).le(info.flags).le(request.index).le(info.count);
  return {};
}

Result<void> Session::set_irqs(Message& message) {
  TEEIO_ASSIGN(const IrqSet request, IrqSet::decode(message.payload));
  return function_.irqs().set(request, std::move(message.fds));
}

Result<void> Session::region_read(const Message& message, Reply& reply) {
  Reader r(message.payload);
  const RegionAccess access = RegionAccess::decode(r);
  if (!r.ok()) return fail(Errno::kInval, "REGION_READ is too short");
  if (access.count > kMaxTransfer) return fail(Errno::kInval, "more than max_data_xfer_size");
  buffer_.resize(access.count);
  TEEIO_TRY(function_.regions().read(access.region, access.offset, buffer_));
  reply.payload.le(access.offset).le(access.region).le(access.count).bytes(buffer_);
  return {};
}

Result<void> Session::region_write(const Message& message, Reply& reply) {
  Reader r(message.payload);
  const RegionAccess access = RegionAccess::decode(r);
  const ByteView data = r.take(access.count);
  if (!r.ok()) return fail(Errno::kInval, "REGION_WRITE has less data than it says");
  if (access.count > kMaxTransfer) return fail(Errno::kInval, "more than max_data_xfer_size");
  TEEIO_TRY(function_.regions().write(access.region, access.offset, data));
  reply.payload.le(access.offset).le(access.region).le(access.count);
  return {};
}

/// Each write has the room of 8 bytes, of which it uses `count`. The answer is the number of
/// writes that were carried out, as the request had it.
Result<void> Session::region_write_multi(const Message& message, Reply& reply) {
  if (!client_.write_multiple) return fail(Errno::kOpNotSupp, "write_multiple was not negotiated");
  Reader r(message.payload);
  const auto writes = r.le<std::uint64_t>();
  if (!r.ok() || writes > kMaxMulti ||
      r.rest().size() < writes * (RegionAccess::kSize + kMultiData))
    return fail(Errno::kInval, "REGION_WRITE_MULTI has fewer writes than it says");
  for (std::uint64_t i = 0; i < writes; ++i) {
    const RegionAccess access = RegionAccess::decode(r);
    const ByteView data = r.take(kMultiData);
    if (access.count > kMultiData) return fail(Errno::kInval, "a write has more than 8 bytes");
    TEEIO_TRY(function_.regions().write(access.region, access.offset, data.first(access.count)));
  }
  reply.payload.le(writes);
  return {};
}

}  // namespace teeio::vfio_user
