#include "firmware/tdx/devif_messages.h"

#include <algorithm>

#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"
#include "wire/tdisp_messages.h"

// TDISP between the module and a device, carried by the host.

namespace teeio::tdx {
namespace {

/// Source: tdisp.c, is_valid_tdisp_req_msg_type().
bool hosts_own(DevifRequest code) {
  return code == DevifRequest::kLock || code == DevifRequest::kState || code == DevifRequest::kStop;
}

/// The first portion of a report, which the module looks at before the guest does.
/// Source: tdisp.c, check_report_interface_info() and check_report_control(); layout as
/// wire::TdispReport.
bool acceptable(ByteView report) {
  Reader reader(report);
  const auto info = reader.le<std::uint16_t>();
  (void)reader.le<std::uint16_t>();
  const auto msix = reader.le<std::uint16_t>();
  const auto lnr = reader.le<std::uint16_t>();
  const auto tph = reader.le<std::uint32_t>();
  constexpr unsigned kRefused = wire::kInfoDmaWithPasid | wire::kInfoAts | wire::kInfoPrs;
  return (info & wire::kInfoDmaWithoutPasid) != 0 && (info & kRefused) == 0 && msix == 0 &&
         lnr == 0 && tph == 0;
}

/// What every report begins with, up to and with the number of its ranges.
constexpr std::size_t kReportHead = 16;

std::optional<Code> take_report(Devif& devif, const wire::TdispInterfaceReportPortion& report) {
  if (devif.report_offset == 0) {
    if (report.portion.size() < kReportHead) return Code::kTdispInvalidMessage;
    if (!acceptable(report.portion)) {
      devif.valid = false;
      return Code::kDevifInvalidTdiConfiguration;
    }
  }
  devif.report_offset = static_cast<std::uint16_t>(devif.report_offset + report.portion.size());
  devif.report_length = std::min(devif.report_length, report.remainder);
  return std::nullopt;
}

void take_stop(State& s, FunctionId function, Devif& devif) {
  devif.state = TdiState::kUnlocked;
  devif.valid = false;
  devif.nonce = {};
  s.trace.fact(object::Lane::kFirmware, object::Fact::kTdiStopped, "TDI stopped",
               {.function = bdf_of(function), .vm = s.look_at_td(devif.tdr)->trace_vm});
}

void take_state(Devif& devif, wire::TdiState state) {
  devif.state = static_cast<TdiState>(state);
  if (devif.state != TdiState::kError) return;
  devif.valid = false;
  devif.nonce = {};
}

constexpr std::size_t kCodeAt = 1;  // in a TDISP header

Checked<std::uint64_t> take_for_vmm(Leaf& leaf, FunctionId function, Devif& devif,
                                    ByteView message) {
  const auto answer = answer_of(function, message);
  if (!answer) return leaf.refuse("header");
  if (std::holds_alternative<wire::TdispInterfaceReportPortion>(answer->body) ||
      std::holds_alternative<wire::TdispStartInterfaceResponse>(answer->body))
    return leaf.refuse("for_td");
  const auto applied = apply_answer(leaf.s, function, devif, answer->body);
  if (!applied) return leaf.refuse("message");
  return *applied;
}

}  // namespace

std::optional<Bytes> request_message(const Devif& devif, const Td& td, FunctionId function,
                                     DevifRequest code, bool no_fw_update) {
  wire::TdispBody body;
  switch (code) {
    case DevifRequest::kLock:
      body = wire::TdispLockInterface{
          .flags = no_fw_update ? std::uint16_t{wire::kLockNoFirmwareUpdate} : std::uint16_t{0},
          .default_stream_id = devif.stream,
          .mmio_reporting_offset = td.mmio_offset,
          .bind_p2p_address_mask = 0};
      break;
    case DevifRequest::kReport:
      if (devif.report_length == 0) return std::nullopt;
      body = wire::TdispGetInterfaceReport{.offset = devif.report_offset,
                                           .length = devif.report_length};
      break;
    case DevifRequest::kStart:
      body = wire::TdispStartInterface{.nonce = devif.nonce};
      break;
    case DevifRequest::kStop:
      body = wire::TdispStopInterface{};
      break;
    case DevifRequest::kState:
    case DevifRequest::kNone:
      body = wire::TdispGetInterfaceState{};
      break;
  }
  return wire::encode_tdisp(
      {.function_id = {static_cast<std::uint32_t>(function)}, .body = std::move(body)});
}

std::optional<wire::TdispMessage> answer_of(FunctionId function, ByteView message) {
  auto answer = wire::decode_tdisp(message);
  if (!answer || answer->version != wire::kTdispVersion10) return std::nullopt;
  constexpr std::size_t kReserved = 2;
  if (message[kReserved] != std::byte{0} || message[kReserved + 1] != std::byte{0})
    return std::nullopt;
  constexpr std::uint32_t kRequesterId = 0xffff;
  if ((answer->function_id.raw & kRequesterId) !=
      (static_cast<std::uint32_t>(function) & kRequesterId))
    return std::nullopt;
  return std::move(*answer);
}

std::expected<std::uint64_t, Code> apply_answer(State& s, FunctionId function, Devif& devif,
                                                const wire::TdispBody& answer) {
  const auto code = static_cast<std::uint8_t>(wire::code_of(answer));
  if (const auto* error = std::get_if<wire::TdispErrorResponse>(&answer))
    return message_register(code, static_cast<std::uint8_t>(error->code), 0);
  if (const auto* lock = std::get_if<wire::TdispLockInterfaceResponse>(&answer)) {
    devif.state = TdiState::kLocked;
    devif.nonce = lock->nonce;
    devif.report_offset = 0;
    devif.report_length = kMaxTdispMessage;
  } else if (const auto* state = std::get_if<wire::TdispInterfaceState>(&answer)) {
    take_state(devif, state->state);
  } else if (std::holds_alternative<wire::TdispStartInterfaceResponse>(answer)) {
    devif.state = TdiState::kRun;
  } else if (std::holds_alternative<wire::TdispStopInterfaceResponse>(answer)) {
    take_stop(s, function, devif);
  } else if (const auto* report = std::get_if<wire::TdispInterfaceReportPortion>(&answer)) {
    if (const auto refused = take_report(devif, *report)) return std::unexpected(*refused);
  } else {
    return std::unexpected(Code::kTdispInvalidMessage);
  }
  return message_register(code, static_cast<std::uint8_t>(devif.state), 0);
}

LeafResult Module::tdh_devif_request(FunctionId function, DevifRequest code, OnBehalfOf who,
                                     Hpa message, bool no_fw_update) {
  const bool for_td = who == OnBehalfOf::kTd;
  Leaf leaf(*state_, row::kDevifRequest,
            {.detail = for_td ? std::string("the guest's")
                              : std::string(wire::tdisp_name(static_cast<std::uint8_t>(code))),
             .function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  // Source: tdh_devif_request.c, is_valid_tdh_devif_req_in().
  if (for_td && code != DevifRequest::kNone) return leaf.refuse("td_code");
  if (no_fw_update && code != DevifRequest::kLock) return leaf.refuse("no_update");
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (devif->state == TdiState::kError && code != DevifRequest::kState &&
      code != DevifRequest::kStop)
    return leaf.refuse("error");
  if (devif->out_tdisp_req) return leaf.refuse("outstanding");
  if (for_td && devif->td_request != TdRequest::kRequested) return leaf.refuse("asked");
  if (!for_td && !hosts_own(code)) return leaf.refuse("code");
  TDX_TRY(leaf.shared_page(message, Operand::kR8));
  TDX_ASSIGN(IommuState* const iommu, leaf.iommu(devif->iommu));
  TDX_ASSIGN(SpdmSession* const spdm,
             leaf.bound_spdm(*iommu, leaf.s.stream_of(*devif).spdm, Operand::kRcx));
  const Td& td = *leaf.s.look_at_td(devif->tdr);
  const Bytes plain =
      for_td ? devif->td_message : *request_message(*devif, td, function, code, no_fw_update);
  leaf.give_way();
  const auto sealed = spdm->channel->seal(wire::Protocol::kTdisp, plain);
  if (!sealed) return leaf.refuse_because("seal", sealed.error().why);
  write_object(leaf, message, *sealed);
  devif->out_tdisp_req = true;
  if (for_td) devif->td_request = TdRequest::kGenerated;
  return {
      .status = {},
      .rcx = message_register(std::to_integer<std::uint8_t>(plain[kCodeAt]), 0, sealed->size())};
}

LeafResult Module::tdh_devif_response(FunctionId function, OnBehalfOf who, Hpa message,
                                      std::optional<Hpa> output) {
  Leaf leaf(*state_, row::kDevifResponse, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(leaf.shared_page(message, Operand::kRdx));
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (!devif->out_tdisp_req) return leaf.refuse("outstanding");
  const bool for_td = who == OnBehalfOf::kTd;
  if (devif->td_request == TdRequest::kGenerated && !for_td) return leaf.refuse("tds");
  if (for_td && output) return leaf.refuse("output");
  if (output) TDX_TRY(leaf.shared_page(*output, Operand::kR8));
  // Not the IOMMU: its configuration is fixed while a session is, whose entry is held.
  TDX_ASSIGN(SpdmSession* const spdm,
             leaf.bound_spdm(leaf.s.iommus.unrecorded(devif->iommu), leaf.s.stream_of(*devif).spdm,
                             Operand::kRcx));
  TDX_ASSIGN(const Bytes& object, read_object(leaf, message, Operand::kRdx));
  TDX_ASSIGN(const Bytes& plain,
             open_message(leaf, *spdm, wire::Protocol::kTdisp, object, "content"));
  if (plain.size() < wire::TdispHeader::kSize || plain.size() > kMaxTdispMessage)
    return leaf.refuse("size");
  leaf.give_way();
  LeafResult result{.status = {},
                    .rcx = message_register(std::to_integer<std::uint8_t>(plain[kCodeAt]), 0, 0)};
  if (for_td) {
    // All further checks come when the TD takes it (TDG.DEVIF.RESPONSE).
    devif->td_request = TdRequest::kProcessed;
    devif->td_message = plain;
  } else {
    TDX_ASSIGN(result.rcx, take_for_vmm(leaf, function, *devif, plain));
    if (output) {
      write_object(leaf, *output, plain);
      result.rcx |= message_register(0, 0, plain.size());
    }
  }
  devif->out_tdisp_req = false;
  return result;
}

}  // namespace teeio::tdx
