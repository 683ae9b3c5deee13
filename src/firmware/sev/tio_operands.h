#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "firmware/sev/sla.h"

namespace teeio::sev {

/// Numbers of the SEV-TIO commands. Source: Linux include/linux/psp-sev.h up to 0xd5,
/// AMDESE/linux-kvm for the others.
enum class TioCommand : std::uint16_t {
  kStatus = 0xd0,
  kInit = 0xd1,
  kDevCreate = 0xd2,
  kDevReclaim = 0xd3,
  kDevConnect = 0xd4,
  kDevDisconnect = 0xd5,
  kDevStatus = 0xd6,
  kDevMeasurements = 0xd7,
  kDevCertificates = 0xd8,
  kTdiCreate = 0xda,
  kTdiReclaim = 0xdb,
  kTdiBind = 0xdc,
  kTdiUnbind = 0xdd,
  kTdiReport = 0xde,
  kTdiStatus = 0xdf,
  kGuestRequest = 0xe0,
  kAsidFenceClear = 0xe1,
  kAsidFenceStatus = 0xe2,
  kTdiInfo = 0xe3,
  kRollKey = 0xe4,
};

/// A piece of a command buffer, in the order of the buffers' structs.
enum class TioField : std::uint8_t {
  kReserved4,
  kReserved6,
  kReserved8,
  kReserved10,
  kReserved11,
  kReserved12,
  kReserved16,
  kFlags,       ///< u32
  kSpdm,        ///< four SLAs: request, response, scratch, output
  kDevice,      ///< SLA of the device context
  kTdi,         ///< SLA of the TDI context
  kGuest,       ///< address of a guest's context page
  kStatusPage,  ///< where the answer goes
  kRequestPage,
  kResponsePage,
  kDeviceId,    ///< u16, host's requester ID
  kRootPortId,  ///< u16, port number of Link Capabilities
  kSegment,     ///< u8
  kTcMask,      ///< u8
  kCertificateSlot,
  kStreamIds,      ///< 8 × u8, by traffic class
  kNonce,          ///< 32 bytes
  kInterfaceId,    ///< 12 bytes: TDISP function id, 8 reserved
  kGuestDeviceId,  ///< u16
  kLockFlags,      ///< u16
  kRunFlags,       ///< u16
  kAsid,           ///< u32
};
[[nodiscard]] std::size_t field_size(TioField field);  ///< bytes

/// The fields of all commands; each has those that its layout names.
struct TioOperands {
  struct Spdm {
    Sla request, response, scratch, output;
  };
  std::uint32_t flags = 0;
  Spdm spdm;
  Sla device, tdi;
  Hpa guest{0};
  Hpa status_page{0};
  Hpa request_page{0}, response_page{0};
  std::uint16_t device_id = 0;
  std::uint16_t root_port_id = 0;
  std::uint8_t segment = 0;
  std::uint8_t tc_mask = 0;
  std::uint8_t certificate_slot = 0;
  std::array<std::uint8_t, 8> stream_ids{};
  std::array<std::byte, 32> nonce{};
  std::uint32_t function_id = 0;
  std::uint16_t guest_device_id = 0;
  std::uint16_t lock_flags = 0;
  std::uint16_t run_flags = 0;
  std::uint32_t asid = 0;
  bool reserved_zero = true;  ///< every reserved field is

  /// Precondition: `in` has the layout's size.
  static TioOperands decode(std::span<const TioField> layout, Reader in);
  /// A command buffer, length first, reserved fields zero.
  [[nodiscard]] Bytes encode(std::span<const TioField> layout) const;
};

/// The layout of a command's buffer behind the length; empty for no such command.
[[nodiscard]] std::span<const TioField> tio_layout(TioCommand command);
/// Bytes of the whole buffer.
[[nodiscard]] std::uint32_t tio_length(TioCommand command);

// Flags of single commands.
inline constexpr std::uint32_t kForce = 1U << 0U;            ///< DEV_DISCONNECT, TDI_UNBIND
inline constexpr std::uint32_t kRawMeasurements = 1U << 0U;  ///< DEV_MEASUREMENTS
inline constexpr std::uint16_t kRunForce = 1U << 0U;         ///< TDI_BIND's run_flags

/// What TIO_STATUS writes: struct sev_tio_status.
struct TioStatus {
  static constexpr std::size_t kSize = 64;  ///< bytes
  static constexpr std::uint32_t kEnabled = 1U << 0U;
  static constexpr std::uint32_t kInitDone = 1U << 1U;
  std::uint32_t flags = 0;
  std::uint32_t request_max = 0, scratch_max = 0, output_max = 0;  ///< bytes
  std::uint32_t device_context = 0, tdi_context = 0;               ///< bytes
  [[nodiscard]] Bytes encode() const;
  /// Errors: EFAULT for a shorter structure or reserved flags, as sev_tio_init_locked().
  static Result<TioStatus> decode(ByteView in);
};

}  // namespace teeio::sev
