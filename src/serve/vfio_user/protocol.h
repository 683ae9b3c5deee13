#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::vfio_user {

/// Message types. Source: QEMU docs/interop/vfio-user.rst, "Commands".
enum class Command : std::uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kDeviceGetInfo = 4,
  kDeviceGetRegionInfo = 5,
  kDeviceGetRegionIoFds = 6,
  kDeviceGetIrqInfo = 7,
  kDeviceSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   ///< ours to the client
  kDmaWrite = 12,  ///< ours to the client
  kDeviceReset = 13,
  kDirtyPages = 14,  ///< of older drafts; QEMU's header still has it
  kRegionWriteMulti = 15,
  kDeviceFeature = 16,
  kMigDataRead = 17,
  kMigDataWrite = 18,
};
/// "REGION_READ"; "?" for a number that is none.
[[nodiscard]] std::string_view command_name(Command command);

/// What precedes each message. Source: as above, "Header". Integers have the host's byte
/// order, which is little-endian wherever this runs.
struct Header {
  static constexpr std::size_t kSize = 16;
  static constexpr std::uint32_t kTypeMask = 0xf;
  static constexpr std::uint32_t kReply = 1;  ///< type; 0: a command
  static constexpr std::uint32_t kNoReply = 0x10;
  static constexpr std::uint32_t kError = 0x20;

  std::uint16_t id = 0;
  Command command{};
  std::uint32_t size = 0;  ///< of the whole message
  std::uint32_t flags = 0;
  std::uint32_t error = 0;  ///< an errno, where kError is set

  [[nodiscard]] bool is_reply() const { return (flags & kTypeMask) == kReply; }
  [[nodiscard]] bool wants_reply() const { return (flags & kNoReply) == 0; }
  [[nodiscard]] static Header decode(std::span<const std::byte, kSize> in);
  void encode(std::span<std::byte, kSize> out) const;
};

/// What data one message may move at most; the default of `max_data_xfer_size`.
inline constexpr std::uint32_t kMaxTransfer = 1024 * 1024;
/// Descriptors that one message may bring (`max_msg_fds`): as many as QEMU sends.
inline constexpr std::size_t kMaxFds = 16;
/// A message of REGION_WRITE with all that it may have, or of REGION_WRITE_MULTI.
inline constexpr std::uint32_t kMaxMessage = kMaxTransfer + 4096;

/// The payload of VERSION before its JSON. 0.1 is what libvfio-user speaks, 0.0 QEMU.
inline constexpr std::uint16_t kMajor = 0;
inline constexpr std::uint16_t kMinor = 1;

struct DmaMap {
  static constexpr std::uint32_t kRead = 1;
  static constexpr std::uint32_t kWrite = 2;
  std::uint32_t argsz = 0, flags = 0;
  std::uint64_t offset = 0;  ///< in the descriptor's file
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  /// Errors: EINVAL, as each decode() here: too short.
  static Result<DmaMap> decode(ByteView payload);
};

struct DmaUnmap {
  static constexpr std::uint32_t kDirtyBitmap = 1;
  static constexpr std::uint32_t kAll = 2;  ///< as VFIO_DMA_UNMAP_FLAG_ALL
  std::uint32_t argsz = 0, flags = 0;
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  static Result<DmaUnmap> decode(ByteView payload);
};

/// Payloads that begin with argsz, flags, index and a count or a capability's offset.
struct InfoRequest {
  std::uint32_t argsz = 0, flags = 0, index = 0;
  /// `bytes`: how many the request has.
  static Result<InfoRequest> decode(ByteView payload, std::size_t bytes);
};

struct IrqSet {
  static constexpr std::size_t kSize = 20;
  std::uint32_t argsz = 0, flags = 0, index = 0, start = 0, count = 0;
  ByteView data;
  static Result<IrqSet> decode(ByteView payload);
};

/// REGION_READ and REGION_WRITE, and an entry of REGION_WRITE_MULTI.
struct RegionAccess {
  static constexpr std::size_t kSize = 16;
  std::uint64_t offset = 0;
  std::uint32_t region = 0;
  std::uint32_t count = 0;
  static RegionAccess decode(Reader& in);
};

// VFIO's numbers for PCI. Source: Linux include/uapi/linux/vfio.h.
inline constexpr std::uint32_t kRomRegion = 6;
inline constexpr std::uint32_t kConfigRegion = 7;
inline constexpr std::uint32_t kRegions = 9;
inline constexpr std::uint32_t kIrqIndices = 5;

}  // namespace teeio::vfio_user
