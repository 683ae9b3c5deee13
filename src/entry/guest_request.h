#pragma once

#include <cstdint>
#include <optional>

#include "abi/profile.h"
#include "abi/proposed.h"
#include "base/bytes.h"
#include "base/result.h"
#include "host/mm/user_memory.h"
#include "host/pci_tsm/driver.h"

namespace teeio::entry {

/// A guest request as the host's TSM takes it, whatever profile it came in.
struct ReadRequest {
  tsm::RequestOp op;
  tsm::TvmArch arch;
  Bytes payload;
  std::size_t response_limit;

  /// Valid as long as this.
  [[nodiscard]] tsm::GuestRequest request() const {
    return {.op = op, .arch = arch, .payload = payload, .response_limit = response_limit};
  }
};

/// The operation that `number` is in a dialect; nullopt: none.
[[nodiscard]] std::optional<tsm::RequestOp> request_op(abi::RequestDialect dialect,
                                                       std::uint64_t number);

/// What IOMMU_VDEVICE_TSM_REQ carries, from `payload` (and, for a nonce, `memory`).
/// Errors: EINVAL an operation that the dialect does not have, or a payload of another
/// length than its struct's; EOPNOTSUPP flags and OBJECT_INFO; EFAULT. Source:
/// abi/linux/teeio_proposed.h names the postings.
[[nodiscard]] Result<ReadRequest> read_guest_request(abi::RequestDialect dialect,
                                                     const abi::iommu_vdevice_tsm_req& arg,
                                                     ByteView payload, mm::UserMemory& memory);

}  // namespace teeio::entry
