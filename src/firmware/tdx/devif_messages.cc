#include "firmware/tdx/devif_messages.h"

#include <algorithm>

#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"
#include "wire/tdisp_messages.h"

// TDISP between the module and a device, carried by the host.

namespace teeio::tdx {
namespace {

wire::TdispBody request_body(const Devif& devif, const Td& td, DevifRequest code) {
  switch (code) {
    case DevifRequest::kLock:
      return wire::TdispLockInterface{.flags = 0,
                                      .default_stream_id = devif.stream,
                                      .mmio_reporting_offset = td.mmio_offset,
                                      .bind_p2p_address_mask = 0};
    case DevifRequest::kReport:
      return wire::TdispGetInterfaceReport{.offset = devif.td_report_offset,
                                           .length = devif.td_report_length};
    case DevifRequest::kState:
      return wire::TdispGetInterfaceState{};
    case DevifRequest::kStart:
      return wire::TdispStartInterface{.nonce = devif.nonce};
    case DevifRequest::kStop:
      return wire::TdispStopInterface{};
  }
  std::unreachable();
}

bool known(DevifRequest code) { return code >= DevifRequest::kLock && code <= DevifRequest::kStop; }

bool hosts_own(DevifRequest code) {
  return code == DevifRequest::kLock || code == DevifRequest::kState || code == DevifRequest::kStop;
}

/// The answer, if it is one of `function` to `request`, or an ERROR.
std::optional<wire::TdispMessage> matching(ByteView plain, FunctionId function,
                                           DevifRequest request) {
  auto answer = wire::decode_tdisp(plain);
  if (!answer || answer->version != wire::kTdispVersion10 ||
      answer->function_id.raw != static_cast<std::uint32_t>(function))
    return std::nullopt;
  const auto code = static_cast<std::uint8_t>(wire::code_of(answer->body));
  const auto wanted = static_cast<std::uint8_t>(static_cast<unsigned>(request) & 0x7fU);
  const bool error = std::holds_alternative<wire::TdispErrorResponse>(answer->body);
  if (!error && code != wanted) return std::nullopt;
  return std::move(*answer);
}

/// The exchange is over, and no other answer can come: whoever asked may ask again.
void give_up(Devif& devif) {
  devif.out_tdisp_req.reset();
  if (devif.out_for == OnBehalfOf::kTd) devif.td_request = TdRequest::kAvailable;
}

}  // namespace

std::uint64_t apply_answer(State& s, FunctionId function, Devif& devif,
                           const wire::TdispBody& answer, std::size_t bytes) {
  const auto code = static_cast<std::uint8_t>(wire::code_of(answer));
  if (const auto* error = std::get_if<wire::TdispErrorResponse>(&answer))
    return message_register(code, static_cast<std::uint8_t>(error->code), bytes);
  if (const auto* lock = std::get_if<wire::TdispLockInterfaceResponse>(&answer)) {
    devif.state = TdiState::kLocked;
    devif.nonce = lock->nonce;
  } else if (const auto* state = std::get_if<wire::TdispInterfaceState>(&answer)) {
    devif.state = static_cast<TdiState>(state->state);
    if (devif.state == TdiState::kError) {
      devif.valid = false;
      devif.nonce = {};
    }
  } else if (std::holds_alternative<wire::TdispStartInterfaceResponse>(answer)) {
    devif.state = TdiState::kRun;
  } else if (std::holds_alternative<wire::TdispStopInterfaceResponse>(answer)) {
    devif.state = TdiState::kUnlocked;
    devif.valid = false;
    devif.nonce = {};
    s.trace.fact(object::Lane::kFirmware, object::Fact::kTdiStopped, "TDI stopped",
                 {.function = bdf_of(function), .vm = s.find_td(devif.tdr)->trace_vm});
  }
  return message_register(code, static_cast<std::uint8_t>(devif.state), bytes);
}

LeafResult Module::tdh_devif_request(FunctionId function, DevifRequest code, OnBehalfOf who,
                                     Hpa message) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DEVIF.REQUEST"),
            {.detail = std::string(wire::tdisp_name(static_cast<std::uint8_t>(code))),
             .function = bdf_of(function)});
  TDX_TRY(leaf.extension());
  if (!known(code))
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "no such TDISP request");
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (devif->state == TdiState::kError && code != DevifRequest::kState &&
      code != DevifRequest::kStop)
    return leaf.refuse(Code::kTdispErrorState, Operand::kRcx, "the TDI is in ERROR");
  if (devif->out_tdisp_req)
    return leaf.refuse(Code::kTdispOutReq, Operand::kRcx, "a request waits for its answer");
  const bool for_td = who == OnBehalfOf::kTd;
  if (for_td && (devif->td_request != TdRequest::kRequested || devif->td_code != code))
    return leaf.refuse(Code::kTdispInvalidReqSts, Operand::kRdx, "the guest has not asked for it");
  if (!for_td && !hosts_own(code))
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "only the guest may ask for this");
  TDX_TRY(leaf.shared_page(message, Operand::kR8));
  TDX_TRY(leaf.iommu(devif->iommu));
  SpdmSession& spdm = leaf.s.session_of(*devif);
  if (!spdm.bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, "the SPDM session is not bound");
  const Td& td = *leaf.s.find_td(devif->tdr);
  const Bytes plain = wire::encode_tdisp({.function_id = {static_cast<std::uint32_t>(function)},
                                          .body = request_body(*devif, td, code)});
  leaf.give_way();
  const auto sealed = spdm.channel->seal(wire::Protocol::kTdisp, plain);
  if (!sealed) return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, sealed.error().why);
  write_object(leaf, message, *sealed);
  devif->out_tdisp_req = code;
  devif->out_for = who;
  devif->out_report_offset = devif->td_report_offset;
  if (for_td) devif->td_request = TdRequest::kGenerated;
  return {.status = {},
          .rcx = message_register(static_cast<std::uint8_t>(code), 0, sealed->size())};
}

LeafResult Module::tdh_devif_response(FunctionId function, OnBehalfOf who, Hpa message) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DEVIF.RESPONSE"), {.function = bdf_of(function)});
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const Bytes& object,
             read_object(leaf, message, Operand::kRdx, Code::kTdispInvalidMessage));
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (!devif->out_tdisp_req)
    return leaf.refuse(Code::kTdispOutReq, Operand::kRcx, "no request waits for an answer");
  if (devif->out_for != who)
    return leaf.refuse(Code::kTdispInvalidReqSts, Operand::kRdx, "the request was another's");
  SpdmSession& spdm = leaf.s.session_of(*devif);
  if (!spdm.bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, "the SPDM session is not bound");
  const auto plain = spdm.channel->open(wire::Protocol::kTdisp, object);
  const auto answer = plain ? matching(*plain, function, *devif->out_tdisp_req) : std::nullopt;
  if (!answer && !spdm.channel->waiting()) give_up(*devif);
  if (!plain) return leaf.refuse(Code::kTdispInvalidMessage, Operand::kRdx, plain.error().why);
  if (!answer)
    return leaf.refuse(Code::kTdispInvalidMessage, Operand::kRdx,
                       "the answer is not that to the request");
  leaf.give_way();
  devif->out_tdisp_req.reset();
  if (who == OnBehalfOf::kVmm)
    return {.status = {},
            .rcx = apply_answer(leaf.s, function, *devif, answer->body, plain->size())};
  // The TD's own answer takes effect when the TD takes it (TDG.DEVIF.RESPONSE).
  devif->td_request = TdRequest::kProcessed;
  devif->td_response = *plain;
  const auto code = static_cast<std::uint8_t>(wire::code_of(answer->body));
  return {.status = {},
          .rcx = message_register(code, static_cast<std::uint8_t>(devif->state), plain->size())};
}

}  // namespace teeio::tdx
