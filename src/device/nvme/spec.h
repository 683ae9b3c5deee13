#pragma once

#include <cstdint>

namespace teeio::nvme {

/// Numbers of the NVM Express Base Specification, revision 1.4.

inline constexpr std::uint32_t kVersion = 0x0001'0400;
inline constexpr std::uint32_t kPage = 4096;  ///< CC.MPS: the only one that CAP offers
inline constexpr std::uint32_t kSqEntryBytes = 64;
inline constexpr std::uint32_t kCqEntryBytes = 16;
inline constexpr std::uint32_t kSqEntryShift = 6;
inline constexpr std::uint32_t kCqEntryShift = 4;
inline constexpr std::uint32_t kMaxEntries = 1024;          ///< of an I/O queue; CAP.MQES + 1
inline constexpr std::uint16_t kIoQueues = 16;              ///< pairs, identifiers 1 to 16
inline constexpr std::uint16_t kDoeVector = kIoQueues + 1;  ///< 0 admin, 1–16 I/O
inline constexpr std::uint16_t kVectors = kDoeVector + 1;
inline constexpr std::uint8_t kMdts = 7;  ///< 2^7 pages: 512 KiB a command
inline constexpr std::uint32_t kMaxTransfer = kPage << kMdts;
inline constexpr std::uint32_t kBlock = 512;
inline constexpr std::uint32_t kBlockShift = 9;
inline constexpr std::uint32_t kAllNamespaces = 0xffff'ffff;
inline constexpr std::uint8_t kEventLimit = 4;  ///< AERL + 1
inline constexpr std::uint8_t kAbortLimit = 4;  ///< ACL + 1
inline constexpr unsigned kErrorEntries = 16;   ///< ELPE + 1

/// Figure 139, "Opcodes for Admin Commands".
enum class AdminOpcode : std::uint8_t {
  kDeleteSq = 0x00,
  kCreateSq = 0x01,
  kGetLogPage = 0x02,
  kDeleteCq = 0x04,
  kCreateCq = 0x05,
  kIdentify = 0x06,
  kAbort = 0x08,
  kSetFeatures = 0x09,
  kGetFeatures = 0x0a,
  kAsyncEvent = 0x0c,
};

/// Figure 346, "Opcodes for NVM Commands".
enum class IoOpcode : std::uint8_t {
  kFlush = 0x00,
  kWrite = 0x01,
  kRead = 0x02,
  kWriteZeroes = 0x08,
  kDatasetManagement = 0x09,
};

/// Status Code Type in bits 10:8, Status Code below. 4.6.1.
enum class Status : std::uint16_t {
  kSuccess = 0x000,
  kInvalidOpcode = 0x001,
  kInvalidField = 0x002,
  kCommandIdConflict = 0x003,
  kDataTransferError = 0x004,
  kInternalError = 0x006,
  kAbortRequested = 0x007,
  kInvalidNamespace = 0x00b,
  kSequenceError = 0x00c,
  kPrpOffsetInvalid = 0x013,
  kLbaOutOfRange = 0x080,
  kCqInvalid = 0x100,
  kInvalidQueueId = 0x101,
  kInvalidQueueSize = 0x102,
  kEventLimitExceeded = 0x105,
  kInvalidVector = 0x108,
  kInvalidLogPage = 0x109,
  kInvalidQueueDeletion = 0x10c,
  kNotSaveable = 0x10d,
  kNotChangeable = 0x10e,
  kNotNamespaceSpecific = 0x10f,
  kWriteFault = 0x280,
  kUnrecoveredRead = 0x281,
};

/// The same command, sent again, may succeed: the Do Not Retry bit is clear.
constexpr bool may_be_retried(Status status) {
  return status == Status::kSuccess || status == Status::kDataTransferError ||
         status == Status::kInternalError || status == Status::kAbortRequested;
}

}  // namespace teeio::nvme
