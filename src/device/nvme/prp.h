#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "device/nvme/command.h"
#include "device/nvme/host_access.h"

namespace teeio::nvme {

/// Where a command's data lie in the host's memory: PRP entries and lists.
/// Source: NVMe 1.4, 4.3.
///
/// Lifetime: the controller's; room for segments is kept. Locking: the card's lock.
class DataBuffer {
 public:
  explicit DataBuffer(HostAccess& host) : host_(host) {}

  /// Finds `length` bytes, at most kMaxTransfer. Errors: kPrpOffsetInvalid: an entry that is
  /// not aligned as its place demands; kDataTransferError: a list could not be read.
  Outcome<void> find(const Command& command, std::uint32_t length);
  /// What find() found, in order. Precondition: `out` and `in` are as long. Errors:
  /// kDataTransferError; bytes before it may have moved.
  Outcome<void> read(std::span<std::byte> out);
  Outcome<void> write(ByteView in);

 private:
  struct Segment {
    std::uint64_t address;
    std::uint32_t bytes;
  };
  void add(std::uint64_t address, std::uint32_t bytes);
  Outcome<void> walk_list(std::uint64_t list, std::uint32_t left);

  HostAccess& host_;
  std::vector<Segment> segments_;
};

}  // namespace teeio::nvme
