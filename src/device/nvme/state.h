#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "device/nvme/events.h"
#include "device/nvme/features.h"
#include "device/nvme/name_space.h"
#include "device/nvme/prp.h"
#include "device/nvme/queues.h"

namespace teeio::nvme {

/// Who a controller says it is.
struct ControllerIdentity {
  std::uint16_t vendor = 0;
  std::uint64_t serial = 0;    ///< the card's
  std::uint16_t function = 0;  ///< 0 the PF, then VFs: each a subsystem of its own
};

/// Since power-on. Blocks have 512 bytes.
struct Counters {
  std::uint64_t blocks_read = 0;
  std::uint64_t blocks_written = 0;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t media_errors = 0;
};

/// CC.IOSQES and CC.IOCQES: powers of two, 0 while a driver has not set them.
struct EntrySizes {
  std::uint32_t sq = 0;
  std::uint32_t cq = 0;
};

/// What a controller's parts share. Locking: the card's lock.
struct State {
  State(HostAccess& h, const ControllerIdentity& i, std::vector<NameSpace> n)
      : host(h), identity(i), spaces(std::move(n)), data(h) {}

  HostAccess& host;
  const ControllerIdentity identity;
  std::vector<NameSpace> spaces;  ///< nsid - 1
  EntrySizes entry_sizes;
  Queues queues;
  Features features;
  Events events;
  ErrorLog errors;
  Counters counters;
  DataBuffer data;

  /// nullptr: there is none of that identifier.
  [[nodiscard]] NameSpace* space(std::uint32_t nsid) {
    return nsid >= 1 && nsid <= spaces.size() ? &spaces[nsid - 1] : nullptr;
  }
  /// Room for a command's data; what it held is another command's.
  [[nodiscard]] std::span<std::byte> room(std::size_t bytes) {
    if (room_.size() < bytes) room_.resize(bytes);
    return std::span(room_).first(bytes);
  }
  /// A whole answer to where the command wants it.
  Outcome<void> answer(const Command& command, ByteView bytes) {
    if (const auto found = data.find(command, static_cast<std::uint32_t>(bytes.size())); !found)
      return found;
    return data.write(bytes);
  }

 private:
  Bytes room_;
};

}  // namespace teeio::nvme
