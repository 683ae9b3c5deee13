#include "serve/vfio_user/protocol.h"

namespace teeio::vfio_user {

std::string_view command_name(Command command) {
  switch (command) {
    case Command::kVersion:
      return "VERSION";
    case Command::kDmaMap:
      return "DMA_MAP";
    case Command::kDmaUnmap:
      return "DMA_UNMAP";
    case Command::kDeviceGetInfo:
      return "DEVICE_GET_INFO";
    case Command::kDeviceGetRegionInfo:
      return "DEVICE_GET_REGION_INFO";
    case Command::kDeviceGetRegionIoFds:
      return "DEVICE_GET_REGION_IO_FDS";
    case Command::kDeviceGetIrqInfo:
      return "DEVICE_GET_IRQ_INFO";
    case Command::kDeviceSetIrqs:
      return "DEVICE_SET_IRQS";
    case Command::kRegionRead:
      return "REGION_READ";
    case Command::kRegionWrite:
      return "REGION_WRITE";
    case Command::kDmaRead:
      return "DMA_READ";
    case Command::kDmaWrite:
      return "DMA_WRITE";
    case Command::kDeviceReset:
      return "DEVICE_RESET";
    case Command::kDirtyPages:
      return "DIRTY_PAGES";
    case Command::kRegionWriteMulti:
      return "REGION_WRITE_MULTI";
    case Command::kDeviceFeature:
      return "DEVICE_FEATURE";
    case Command::kMigDataRead:
      return "MIG_DATA_READ";
    case Command::kMigDataWrite:
      return "MIG_DATA_WRITE";
  }
  return "?";
}

Header Header::decode(std::span<const std::byte, kSize> in) {
  Reader r(in);
  Header header;
  header.id = r.le<std::uint16_t>();
  header.command = Command{r.le<std::uint16_t>()};
  header.size = r.le<std::uint32_t>();
  header.flags = r.le<std::uint32_t>();
  header.error = r.le<std::uint32_t>();
  return header;
}

void Header::encode(std::span<std::byte, kSize> out) const {
  const Bytes bytes =
      Writer().le(id).le(static_cast<std::uint16_t>(command)).le(size).le(flags).le(error).take();
  std::ranges::copy(bytes, out.begin());
}

Result<DmaMap> DmaMap::decode(ByteView payload) {
  Reader r(payload);
  DmaMap map;
  map.argsz = r.le<std::uint32_t>();
  map.flags = r.le<std::uint32_t>();
  map.offset = r.le<std::uint64_t>();
  map.address = r.le<std::uint64_t>();
  map.size = r.le<std::uint64_t>();
  constexpr std::uint32_t kBytes = 32;
  if (!r.ok() || map.argsz < kBytes) return fail(Errno::kInval, "DMA_MAP is too short");
  return map;
}

Result<DmaUnmap> DmaUnmap::decode(ByteView payload) {
  Reader r(payload);
  DmaUnmap unmap;
  unmap.argsz = r.le<std::uint32_t>();
  unmap.flags = r.le<std::uint32_t>();
  unmap.address = r.le<std::uint64_t>();
  unmap.size = r.le<std::uint64_t>();
  constexpr std::uint32_t kBytes = 24;
  if (!r.ok() || unmap.argsz < kBytes) return fail(Errno::kInval, "DMA_UNMAP is too short");
  return unmap;
}

Result<InfoRequest> InfoRequest::decode(ByteView payload, std::size_t bytes) {
  Reader r(payload);
  InfoRequest request;
  request.argsz = r.le<std::uint32_t>();
  request.flags = r.le<std::uint32_t>();
  request.index = r.le<std::uint32_t>();
  if (payload.size() < bytes || request.argsz < bytes)
    return fail(Errno::kInval, "the request, or the room for its answer, is too short");
  return request;
}

Result<IrqSet> IrqSet::decode(ByteView payload) {
  Reader r(payload);
  IrqSet set;
  set.argsz = r.le<std::uint32_t>();
  set.flags = r.le<std::uint32_t>();
  set.index = r.le<std::uint32_t>();
  set.start = r.le<std::uint32_t>();
  set.count = r.le<std::uint32_t>();
  set.data = r.rest();
  if (!r.ok() || set.argsz < kSize) return fail(Errno::kInval, "SET_IRQS is too short");
  return set;
}

RegionAccess RegionAccess::decode(Reader& in) {
  RegionAccess access;
  access.offset = in.le<std::uint64_t>();
  access.region = in.le<std::uint32_t>();
  access.count = in.le<std::uint32_t>();
  return access;
}

}  // namespace teeio::vfio_user
