#pragma once

#include <cstdint>
#include <vector>

#include "device/ide_responder.h"
#include "device/tdi.h"
#include "object/trace.h"
#include "wire/tdisp_messages.h"

namespace teeio::device {

/// Answers TDISP requests for every TDI of a card, found by FUNCTION_ID.
///
/// Checks, in this order: interface (INVALID_INTERFACE), version
/// (VERSION_MISMATCH, except of GET_TDISP_VERSION), request code
/// (UNSUPPORTED_REQUEST with the code as data), length (INVALID_REQUEST), the TDI's
/// state (INVALID_INTERFACE_STATE), and what the request itself asks for.
/// LOCK_INTERFACE and BIND_P2P_STREAM also want their stream Secure with keys of the
/// same session (IdeResponder::lock_fault()), else INVALID_REQUEST.
///
/// A TDI that is locked over one session takes no request over another that would
/// change it (INVALID_REQUEST). A guess: the ECN binds the lock to its session
/// (11.4.5) and the text on other sessions is not public.
///
/// VDM: docs/devices/dma-engine.md. BUSY and UNSPECIFIED are never answered: a
/// request is over before the next one comes, and nothing fails without a reason.
///
/// Locking: the card's lock.
class TdispResponder {
 public:
  /// In vendor messages: the card maker's ID.
  static constexpr std::uint16_t kVendorId = 0x1efe;

  TdispResponder(object::Trace& trace, std::uint16_t domain, const IdeResponder& ide)
      : trace_(trace), domain_(domain), ide_(ide) {}

  void add(Tdi& tdi) { tdis_.push_back(&tdi); }
  /// For one who gets to all of them.
  [[nodiscard]] const std::vector<Tdi*>& tdis() const;

  /// The answer's bytes. `session`: the SPDM session that carries the request.
  /// Precondition: `request` holds a whole header.
  Bytes answer(ByteView request, std::uint32_t session);

 private:
  using Answer = TdispResult<wire::TdispBody>;
  /// The TDI that a request is about, and the session that carries it.
  struct To {
    Tdi& tdi;
    std::uint32_t session;
  };
  Answer handle(const wire::TdispHeader& header, ByteView body, std::uint32_t session);
  Answer on(const To& to, const wire::TdispGetVersion& request);
  Answer on(const To& to, const wire::TdispGetCapabilities& request);
  Answer on(const To& to, const wire::TdispLockInterface& request);
  Answer on(const To& to, const wire::TdispGetInterfaceReport& request);
  Answer on(const To& to, const wire::TdispGetInterfaceState& request);
  Answer on(const To& to, const wire::TdispStartInterface& request);
  Answer on(const To& to, const wire::TdispStopInterface& request);
  Answer on(const To& to, const wire::TdispBindP2pStream& request);
  Answer on(const To& to, const wire::TdispUnbindP2pStream& request);
  Answer on(const To& to, const wire::TdispSetMmioAttribute& request);
  Answer on(const To& to, const wire::TdispVdm& request);
  template <class Response>
  Answer on(const To& to, const Response& response);
  [[nodiscard]] Tdi* find(wire::TdispFunctionId id) const;

  object::Trace& trace_;
  const std::uint16_t domain_;
  const IdeResponder& ide_;
  std::vector<Tdi*> tdis_;
};

}  // namespace teeio::device
