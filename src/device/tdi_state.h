#pragma once

#include <optional>
#include <utility>

#include "hw/dma.h"
#include "wire/tdisp.h"

namespace teeio::device {

using wire::tdi_state_name;
using wire::TdiState;

/// What can happen to a TDI. kViolation is a change of something that is locked,
/// or the loss of the IDE stream; the two resets differ (see next_state()).
enum class TdiEvent : std::uint8_t {
  kLock,
  kStart,
  kStop,
  kViolation,
  kFunctionReset,
  kConventionalReset,
};

/// The whole machine, as a pure function. nullopt: the request is refused and
/// the state does not change (TDISP INVALID_INTERFACE_STATE).
/// Source: TDISP ECN of 2022-07-27, figure 11-5 (states), table 27 (which request
/// in which state), 11.4.8 (conventional reset unlocks), 11.4.9 (a function level
/// reset moves a locked or running TDI to ERROR; only STOP leaves ERROR). Both
/// sections are quoted in public in chipsalliance/caliptra-mcu-sw issue 1923.
constexpr std::optional<TdiState> next_state(TdiState from, TdiEvent event) {
  using enum TdiState;
  const bool locked = from == kConfigLocked || from == kRun;
  switch (event) {
    case TdiEvent::kLock:
      return from == kConfigUnlocked ? std::optional(kConfigLocked) : std::nullopt;
    case TdiEvent::kStart:
      return from == kConfigLocked ? std::optional(kRun) : std::nullopt;
    case TdiEvent::kStop:
    case TdiEvent::kConventionalReset:
      return kConfigUnlocked;
    case TdiEvent::kViolation:
    case TdiEvent::kFunctionReset:
      return locked ? kError : from;
  }
  std::unreachable();
}

/// GET_DEVICE_INTERFACE_REPORT is legal. Source: table 27.
constexpr bool has_report(TdiState state) {
  return state == TdiState::kConfigLocked || state == TdiState::kRun;
}

/// Whether a TDISP request is legal in that state; else it is refused with
/// INVALID_INTERFACE_STATE. True for codes that are no requests.
/// Source: table 27 (its rows for LOCK, START and REPORT are quoted in
/// caliptra-mcu-sw issue 1924; those for peer-to-peer streams and MMIO attributes
/// are as spdm-rs's responder has them, spdm_device_tdisp_example.rs).
constexpr bool legal_in(wire::TdispCode request, TdiState state) {
  using enum wire::TdispCode;
  switch (request) {
    case kLockInterface:
      return next_state(state, TdiEvent::kLock).has_value();
    case kStartInterface:
      return next_state(state, TdiEvent::kStart).has_value();
    case kGetDeviceInterfaceReport:
      return has_report(state);
    case kBindP2pStream:
    case kUnbindP2pStream:
    case kSetMmioAttribute:
      return state == TdiState::kRun;
    case kGetVersion:
    case kGetCapabilities:
    case kGetDeviceInterfaceState:
    case kStopInterface:
    case kVdm:
    case kVersion:
    case kCapabilities:
    case kLockInterfaceResponse:
    case kDeviceInterfaceReport:
    case kDeviceInterfaceState:
    case kStartInterfaceResponse:
    case kStopInterfaceResponse:
    case kBindP2pStreamResponse:
    case kUnbindP2pStreamResponse:
    case kSetMmioAttributeResponse:
    case kVdmResponse:
    case kError:
      break;
  }
  return true;
}

/// Whether the TDI answers an access to its MMIO with that T bit; else it is an
/// Unsupported Request. TEE memory answers T=0 while unlocked and T=1 in RUN;
/// non-TEE memory (IS_NON_TEE_MEM in the report) answers T=0 always.
/// Source: TDISP ECN 11.2, behaviour of a TDI in each state.
constexpr bool answers_mmio(TdiState state, hw::TBit t, bool non_tee_memory) {
  if (non_tee_memory) return t == hw::TBit::kShared;
  if (state == TdiState::kConfigUnlocked) return t == hw::TBit::kShared;
  return state == TdiState::kRun && t == hw::TBit::kTrusted;
}

/// Whether the TDI may issue memory requests with that T bit. A locked TDI that
/// was not started yet, and one in ERROR, issue none.
constexpr bool issues_dma(TdiState state, hw::TBit t) {
  if (state == TdiState::kRun) return true;
  return state == TdiState::kConfigUnlocked && t == hw::TBit::kShared;
}

}  // namespace teeio::device
