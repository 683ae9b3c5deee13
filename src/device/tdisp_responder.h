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
/// (UNSUPPORTED_REQUEST with the code as data), length (INVALID_REQUEST), and what
/// the request itself asks for. LOCK_INTERFACE also wants its stream Secure: all
/// keys in use, else INVALID_REQUEST. Source: TDISP ECN of 2022-07-27, 11.3.8, table 12.
///
/// The device has no peer-to-peer streams, no updatable MMIO attributes and no
/// vendor messages: those requests are UNSUPPORTED_REQUEST, as its capabilities
/// say.
///
/// Locking: the card's lock.
class TdispResponder {
 public:
  TdispResponder(object::Trace& trace, std::uint16_t domain, const IdeResponder& ide)
      : trace_(trace), domain_(domain), ide_(ide) {}

  void add(Tdi& tdi) { tdis_.push_back(&tdi); }
  [[nodiscard]] const std::vector<Tdi*>& tdis() const { return tdis_; }

  /// The answer's bytes. Precondition: `request` holds a whole header.
  Bytes answer(ByteView request);

 private:
  TdispResult<wire::TdispBody> handle(const wire::TdispHeader& header, ByteView body);
  TdispResult<wire::TdispBody> dispatch(Tdi& tdi, const wire::TdispBody& request);
  TdispResult<wire::TdispBody> lock(Tdi& tdi, const wire::TdispLockInterface& request);
  [[nodiscard]] Tdi* find(wire::TdispFunctionId id) const;

  object::Trace& trace_;
  const std::uint16_t domain_;
  const IdeResponder& ide_;
  std::vector<Tdi*> tdis_;
};

}  // namespace teeio::device
