#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "firmware/sev/conversation.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/platform.h"
#include "firmware/sev/tio_operands.h"
#include "hw/root_port.h"

namespace teeio::sev {

struct TioCall;
using Digest384 = std::array<std::byte, 48>;

/// A root port as the firmware knows it.
struct TioPort {
  hw::RootPort* port;
  std::uint16_t number;  ///< of its Link Capabilities
  std::uint32_t root;    ///< its root complex: which fences it
};

/// A function that is, or may be, a guest's: what lies in a TDI context.
struct TdiContext {
  enum class State : std::uint8_t { kUnbound = 0, kLocked = 1, kRun = 2 };  ///< of TIO_TDI_INFO
  std::vector<Hpa> pages;
  Hpa device;  ///< first page of its device context
  wire::TdispFunctionId function;
  State state = State::kUnbound;
  bool asked_lock = false;  ///< LOCK was sent and not answered well: the TDI may be locked
  Hpa guest{0};             ///< 0: nobody's; else it counts as one of the guest's
  Asid asid = 0;            ///< the guest's, of the last bind
  std::uint32_t vm = 0;     ///< whose metadata exists, in traces
  std::uint16_t guest_device_id = 0;
  std::uint16_t lock_flags = 0;
  wire::TdispNonce nonce{};
  Bytes report{};
  std::uint64_t report_count = 0;  ///< reports that were read, over all binds
  bool dma = false;                ///< its sDTE is valid
  std::uint8_t tdisp_state = 0;    ///< the device's, as last seen
  [[nodiscard]] bool bound() const { return state != State::kUnbound; }
  [[nodiscard]] Bdf bdf() const {
    return Bdf::from_rid(function.rid(), function.segment().value_or(0));
  }
};

/// What a command left to be said, or to be written once there is room for it.
struct PendingCommand {
  TioCommand command;
  Hpa tdi;  ///< first page of its context; 0: it is about none
  bool forced = false;
  Conversation talk;
  /// The exchange is over, well or not: what the command ends with.
  std::function<Status(TioCall&, const Result<void>& how)> finish;
  bool asked = false;  ///< a request is in the request buffer
  std::optional<DataObject> output{};
};

/// A card: what lies in a device context.
struct DeviceContext {
  enum class State : std::uint8_t { kCreated = 1, kConnected = 2 };  ///< of DEV_STATUS; a guess
  std::vector<Hpa> pages;
  Bdf function;
  TioPort port;
  State state = State::kCreated;
  std::uint8_t certificate_slot = 0;
  std::uint8_t tc_mask = 0;
  std::array<std::uint8_t, 8> stream_ids{};
  std::uint8_t key_set = 0;
  std::unique_ptr<spdm::RequesterChannel> channel;
  bool measured = false;
  bool fresh = false;  ///< measured since a TDI was bound last
  std::optional<PendingCommand> pending;
};

/// A command in progress with what its operands mean; pointers are null where they mean
/// nothing, or the command has no such operand.
struct TioCall {
  Call& call;
  TioCommand command;
  TioOperands in;
  DeviceContext* device = nullptr;
  TdiContext* tdi = nullptr;
  GuestContext* guest = nullptr;
  std::optional<GuestMessage> message{};  ///< of GUEST_REQUEST, once it was opened
  [[nodiscard]] Hpa tdi_page() const { return tdi == nullptr ? Hpa{0} : tdi->pages.front(); }
  [[nodiscard]] bool forced() const {
    const bool may = command == TioCommand::kDevDisconnect || command == TioCommand::kTdiUnbind;
    return may && (in.flags & kForce) != 0;
  }
};

}  // namespace teeio::sev
