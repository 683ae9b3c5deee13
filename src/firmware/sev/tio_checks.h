#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/sev/status.h"
#include "firmware/sev/tio_operands.h"

namespace teeio::sev {

/// What a command may ask of its operands and of the state it meets.
enum class TioCheckId : std::uint8_t {
  kEnabled,         ///< SNP_INIT_EX had tio_en
  kNotInit,         ///< TIO_INIT was not yet done
  kInit,            ///< TIO_INIT was done
  kReserved,        ///< reserved fields are zero
  kFlags,           ///< no flag but those that the command has
  kStatusPage,      ///< a page in state Firmware, the answer fits
  kDeviceContext,   ///< the SLA is of a device context
  kTdiContext,      ///< the SLA is of a TDI context
  kTdiOfDevice,     ///< the TDI context is of that device context
  kNewDevicePages,  ///< enough pages in state Firmware, none twice
  kNewTdiPages,
  kRootPort,      ///< a root port has that number
  kNewDevice,     ///< no context is of that device
  kNewTdi,        ///< no context is of that function
  kBuffers,       ///< four buffers that memory answers for
  kBufferPages,   ///< three of the firmware's, the response the host's
  kIdle,          ///< no other command waits for the device, or this one is forced
  kCreated,       ///< the device is not connected
  kConnected,     ///< the device is connected
  kSession,       ///< the session with the device lives, or this one is forced
  kTrafficClass,  ///< TC0 alone
  kCertificateSlot,
  kStream,         ///< the root port has the stream's association
  kNoBoundTdi,     ///< no TDI of the device is bound, or this one is forced
  kNoTdi,          ///< the device has no TDI contexts
  kGuest,          ///< the page is a guest's context
  kGuestLaunched,  ///< whose launch has begun
  kGuestActive,    ///< and has an ASID
  kBindable,       ///< an unbound TDI; or a locked one that is to run
  kSameGuest,      ///< the TDI is that guest's, if it is anybody's
  kGuestIdFree,    ///< the guest has no other TDI with that id
  kLockFlags,      ///< TDISP's, without the cache line size
  kBound,          ///< the TDI is bound, or may be locked
  kLocked,         ///< the TDI is BIND_LOCKED or BIND_RUN
  kUnbound,        ///< the TDI is UNBOUND
  kOffenderGone,   ///< who raised the fence is no longer bound
  kAsid,           ///< a guest's ASID
  kRequestPage,    ///< memory answers there
  kResponsePage,   ///< a page in state Firmware
  kMessage,        ///< a sound header with the next sequence number
  kMessageAuthentic,
};

/// One check of a command: its rows are in the order in which the command makes them.
struct TioCheck {
  TioCheckId id;
  Status status;
  std::string_view why;     ///< literal
  std::string_view source;  ///< literal: where it is public, or "model's choice"
};
[[nodiscard]] std::span<const TioCheck> tio_checks(TioCommand command);

/// A command as docs/firmware/sev.md has it.
struct TioRow {
  TioCommand command;
  std::string_view name;    ///< literal: "TIO_DEV_CREATE"
  std::string_view source;  ///< literal: who issues it, and where its buffer is from
  std::string_view effect;  ///< literal
};
/// Every command, in the order of their numbers.
[[nodiscard]] std::span<const TioRow> tio_rows();

/// The explorer's choice where several checks fail whose order is "model's choice": 0 is the
/// first of the list.
inline constexpr std::string_view kWhichCheckAnswers = "which of the failed checks answers";

class Tio;
struct TioCall;
struct TioChecks {
  /// Whether there is what the check looks at, and none that fails with it for the same cause.
  static bool can_look(Tio& tio, TioCall& call, TioCheckId id);
  /// Whether a check passes. Precondition: can_look().
  static bool holds(Tio& tio, TioCall& call, TioCheckId id);
};

}  // namespace teeio::sev
