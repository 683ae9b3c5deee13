#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "spdm/channel.h"
#include "wire/ide_km.h"
#include "wire/tdisp_messages.h"

namespace teeio::tdx {

/// A device of our own making: real data objects in, real answers out, and a
/// TDISP state for each function. It does what it is told, also what is wrong.
class TestDevice {
 public:
  struct Tdi {
    wire::TdiState state = wire::TdiState::kConfigUnlocked;
    wire::TdispNonce nonce{};
    wire::TdispLockInterface lock;
  };

  explicit TestDevice(
      std::unique_ptr<spdm::ResponderChannel> channel = spdm::make_plain_responder())
      : channel_(std::move(channel)) {}

  Bytes answer(ByteView object) {
    auto opened = channel_->open(object);
    if (auto* ready = std::get_if<Bytes>(&opened)) return std::move(*ready);
    const auto& request = std::get<spdm::AppMessage>(opened);
    Bytes reply =
        request.protocol == wire::Protocol::kIdeKm ? ide_km(request.bytes) : tdisp(request.bytes);
    return channel_->seal(
        {.protocol = request.protocol, .bytes = std::move(reply), .session = request.session});
  }

  std::map<std::uint32_t, Tdi> tdis;
  wire::TdispReport report{.interface_info = wire::kInfoDmaWithoutPasid,
                           .msix_message_control = 0,
                           .lnr_control = 0,
                           .tph_control = 0,
                           .ranges = {},
                           .device_info = {}};
  std::uint8_t kp_ack_status = 0;                 ///< what KEY_PROG is answered with
  bool refuse_all = false;                        ///< TDISP ERROR to everything
  std::byte next_nonce{0x5a};                     ///< what the next LOCK's nonce is made of
  std::size_t report_portion = 0x1000;            ///< bytes of a report that one answer has at most
  std::size_t last_report_offset = 0;             ///< of what was asked
  std::optional<wire::TdispBody> answer_instead;  ///< to every TDISP request
  std::uint16_t lock_flags = 0;                   ///< that a LOCK may have
  std::uint32_t answers_for = 0;  ///< which function's answers it gives instead; 0: the right one's

 private:
  Bytes ide_km(ByteView bytes) {
    const auto message = wire::decode_ide_km(bytes);
    if (const auto* query = std::get_if<wire::IdeKmQuery>(&*message))
      return wire::encode_ide_km(
          wire::IdeKmQueryResp{.port_index = query->port_index, .registers = {}});
    if (const auto* prog = std::get_if<wire::IdeKmKeyProg>(&*message))
      return wire::encode_ide_km(
          wire::IdeKmKpAck{prog->stream_id, kp_ack_status, prog->selector, 0});
    if (const auto* go = std::get_if<wire::IdeKmKSetGo>(&*message))
      return wire::encode_ide_km(wire::IdeKmKGoStopAck{go->stream_id, go->selector, 0});
    const auto& stop = std::get<wire::IdeKmKSetStop>(*message);
    return wire::encode_ide_km(wire::IdeKmKGoStopAck{stop.stream_id, stop.selector, 0});
  }

  wire::TdispBody act(Tdi& tdi, const wire::TdispBody& request) {
    if (answer_instead) return *answer_instead;
    if (refuse_all)
      return wire::TdispErrorResponse{
          static_cast<std::uint32_t>(wire::TdispError::kInvalidInterfaceState), 0, {}};
    if (std::holds_alternative<wire::TdispGetVersion>(request)) return wire::TdispVersion{{0x10}};
    if (std::holds_alternative<wire::TdispGetCapabilities>(request))
      return wire::TdispCapabilities{.lock_flags = lock_flags};
    if (const auto* lock = std::get_if<wire::TdispLockInterface>(&request)) {
      tdi.lock = *lock;
      tdi.state = wire::TdiState::kConfigLocked;
      tdi.nonce.fill(next_nonce);
      return wire::TdispLockInterfaceResponse{tdi.nonce};
    }
    if (const auto* get = std::get_if<wire::TdispGetInterfaceReport>(&request)) {
      const Bytes all = report.encode();
      last_report_offset = get->offset;
      const std::size_t length =
          std::min<std::size_t>({get->length, all.size() - get->offset, report_portion});
      const auto first = all.begin() + get->offset;
      return wire::TdispInterfaceReportPortion{
          static_cast<std::uint16_t>(all.size() - get->offset - length),
          Bytes(first, first + static_cast<std::ptrdiff_t>(length))};
    }
    if (const auto* start = std::get_if<wire::TdispStartInterface>(&request)) {
      if (start->nonce != tdi.nonce)
        return wire::TdispErrorResponse{
            static_cast<std::uint32_t>(wire::TdispError::kInvalidNonce), 0, {}};
      tdi.state = wire::TdiState::kRun;
      return wire::TdispStartInterfaceResponse{};
    }
    if (std::holds_alternative<wire::TdispStopInterface>(request)) {
      tdi.state = wire::TdiState::kConfigUnlocked;
      return wire::TdispStopInterfaceResponse{};
    }
    return wire::TdispInterfaceState{tdi.state};
  }

  Bytes tdisp(ByteView bytes) {
    const auto message = wire::decode_tdisp(bytes);
    const wire::TdispFunctionId whose{answers_for != 0 ? answers_for : message->function_id.raw};
    return wire::encode_tdisp(
        {.function_id = whose, .body = act(tdis[message->function_id.raw], message->body)});
  }

  const std::unique_ptr<spdm::ResponderChannel> channel_;
};

}  // namespace teeio::tdx
