#pragma once

#include <cstdint>

namespace teeio::sev {

/// Types of guest messages. Source: AMDESE/linux-kvm arch/x86/include/asm/sev.h, enum
/// msg_type; layouts as drivers/virt/coco/sev-guest/tio.c has them (message version 1).
enum class TioMessage : std::uint8_t {
  kTdiInfoRequest = 19,
  kTdiInfoResponse = 20,
  kMmioValidateRequest = 21,
  kMmioValidateResponse = 22,
  kMmioConfigRequest = 23,
  kMmioConfigResponse = 24,
  kSdteWriteRequest = 25,
  kSdteWriteResponse = 26,
};

/// Bytes of requests.
inline constexpr std::size_t kTdiInfoRequestSize = 16;
inline constexpr std::size_t kMmioValidateRequestSize = 48;
inline constexpr std::size_t kMmioConfigRequestSize = 16;
inline constexpr std::size_t kSdteWriteRequestSize = 80;

enum class TdiInfoStatus : std::uint16_t { kBound = 0, kInvalid = 1, kUnbound = 2 };
enum class MmioValidateStatus : std::uint16_t {
  kSuccess = 0,
  kInvalidTdi = 1,
  kTdiUnbound = 2,
  kNotAssigned = 3,
  kNotIo = 4,
  kNotUniform = 5,
  kNotImmutable = 6,  ///< never given: what wants the bit is not public
  kNotMapped = 7,
  kNotReported = 8,
  kOutOfRange = 9,
  kNot4K = 10,
};
enum class MmioConfigStatus : std::uint16_t {
  kSuccess = 0,
  kInvalidTdi = 1,
  kTdiUnbound = 2,
  kNotReported = 3,
  kCouldNotChange = 4,
};
enum class SdteWriteStatus : std::uint16_t {
  kSuccess = 0,
  kInvalidTdi = 1,
  kNotBound = 2,
  kReserved = 3,
};

/// Flags of MMIO_VALIDATE's request.
inline constexpr std::uint16_t kValidated = 1U << 0U;
inline constexpr std::uint16_t kForceValidated = 1U << 1U;

}  // namespace teeio::sev
