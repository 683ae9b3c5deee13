#include "firmware/sev/tio.h"

#include <algorithm>

#include "firmware/sev/tio_checks.h"

namespace teeio::sev {

/// Those that no host here asks for, or that change nothing, never fail so.
#define TIO_NAME(text) text, text " fails"

Tio::Tio(Platform& psp, IoGuard& guard, std::vector<TioPort> ports, spdm::ChannelSetup channels)
    : psp_(psp),
      guard_(guard),
      ports_(std::move(ports)),
      channels_(std::move(channels)),
      watcher_(psp.trace()) {
  add(TioCommand::kStatus, "TIO_STATUS", {}, &Tio::status);
  add(TioCommand::kInit, TIO_NAME("TIO_INIT"), &Tio::init);
  add(TioCommand::kDevCreate, TIO_NAME("TIO_DEV_CREATE"), &Tio::dev_create);
  add(TioCommand::kDevReclaim, TIO_NAME("TIO_DEV_RECLAIM"), &Tio::dev_reclaim);
  add(TioCommand::kDevConnect, TIO_NAME("TIO_DEV_CONNECT"), &Tio::dev_connect);
  add(TioCommand::kDevDisconnect, TIO_NAME("TIO_DEV_DISCONNECT"), &Tio::dev_disconnect);
  add(TioCommand::kDevStatus, "TIO_DEV_STATUS", {}, &Tio::dev_status);
  add(TioCommand::kDevMeasurements, TIO_NAME("TIO_DEV_MEASUREMENTS"), &Tio::dev_measurements);
  add(TioCommand::kDevCertificates, "TIO_DEV_CERTIFICATES", {}, &Tio::dev_certificates);
  add(TioCommand::kTdiCreate, TIO_NAME("TIO_TDI_CREATE"), &Tio::tdi_create);
  add(TioCommand::kTdiReclaim, TIO_NAME("TIO_TDI_RECLAIM"), &Tio::tdi_reclaim);
  add(TioCommand::kTdiBind, TIO_NAME("TIO_TDI_BIND"), &Tio::tdi_bind);
  add(TioCommand::kTdiUnbind, TIO_NAME("TIO_TDI_UNBIND"), &Tio::tdi_unbind);
  add(TioCommand::kTdiReport, "TIO_TDI_REPORT", {}, &Tio::tdi_report);
  add(TioCommand::kTdiStatus, TIO_NAME("TIO_TDI_STATUS"), &Tio::tdi_status);
  add(TioCommand::kGuestRequest, TIO_NAME("TIO_GUEST_REQUEST"), &Tio::guest_request);
  add(TioCommand::kAsidFenceClear, TIO_NAME("TIO_ASID_FENCE_CLEAR"), &Tio::fence_clear);
  add(TioCommand::kAsidFenceStatus, "TIO_ASID_FENCE_STATUS", {}, &Tio::fence_status);
  add(TioCommand::kTdiInfo, "TIO_TDI_INFO", {}, &Tio::tdi_info);
  add(TioCommand::kRollKey, "TIO_ROLL_KEY", {}, &Tio::roll_key);
  psp.on_shutdown([this] { forget_all(); });
}

void Tio::add(TioCommand command, std::string_view name, std::string_view fails, Handler handler) {
  psp_.add({.number = static_cast<std::uint16_t>(command),
            .name = name,
            .fails = fails,
            .length = tio_length(command),
            .says_length = true,
            .run = [this, command, handler](Call& call) { return run(call, command, handler); },
            .about = [this, command](Reader body) { return about(command, body); }});
}

/// The same command once more goes on with what it left; a forced one begins anew.
Status Tio::run(Call& call, TioCommand command, Handler handler) {
  TioCall c{.call = call,
            .command = command,
            .in = TioOperands::decode(tio_layout(command), call.body())};
  c.device = device(c.in.device);
  c.tdi = tdi(c.in.tdi);
  c.guest = psp_.guest(c.in.guest);
  if (c.device != nullptr && c.device->pending) {
    const PendingCommand& pending = *c.device->pending;
    if (pending.command == command && pending.tdi == c.tdi_page() && pending.forced == c.forced())
      return resume(c);
  }
  if (const TioCheck* const failed = failed_check(c))
    return call.refuse(failed->status, failed->why);
  if (const auto wanted = want_scratch(c)) return *wanted;
  return (this->*handler)(c);
}

/// SNP is over: contexts are the firmware's pages as before, and devices go their ways.
void Tio::forget_all() {
  init_done_ = false;
  for (auto& [page, tdi] : tdis_) dma_off(tdi);
  for (auto& [page, device] : devices_) stop_port_keys(device);
  for (const auto& [page, tdi] : tdis_)
    for (const Hpa at : tdi.pages) psp_.rmp().leave_context(at);
  for (const auto& [page, device] : devices_)
    for (const Hpa at : device.pages) psp_.rmp().leave_context(at);
  tdis_.clear();
  by_function_.clear();
  by_guest_.clear();
  devices_.clear();
}

object::EventFields Tio::about(TioCommand command, Reader body) {
  const TioOperands in = TioOperands::decode(tio_layout(command), body);
  if (command == TioCommand::kDevCreate)
    return {.function = Bdf::from_rid(in.device_id, in.segment)};
  if (command == TioCommand::kTdiCreate) {
    const wire::TdispFunctionId id{in.function_id};
    return {.function = Bdf::from_rid(id.rid(), id.segment().value_or(0))};
  }
  if (const TdiContext* found = tdi(in.tdi)) return {.function = found->bdf(), .vm = found->vm};
  if (const DeviceContext* found = device(in.device)) return {.function = found->function};
  return {};
}

template <class Context>
Context* Tio::context(schedule::RecordedMap<std::uint64_t, Context>& contexts, Sla sla) {
  if (sla.null()) return nullptr;
  const auto pages = sla.pages(psp_.memory());
  if (!pages) return nullptr;
  const auto found = contexts.find(raw(pages->front()));
  return found != contexts.end() && found->second.pages == *pages ? &found->second : nullptr;
}

DeviceContext* Tio::device(Sla sla) { return context(devices_, sla); }
TdiContext* Tio::tdi(Sla sla) { return context(tdis_, sla); }

std::size_t Tio::tdis_of(const DeviceContext& device, bool bound) const {
  return static_cast<std::size_t>(std::ranges::count_if(tdis_, [&](const auto& entry) {
    const TdiContext& tdi = entry.second;
    return tdi.device == device.pages.front() && (!bound || tdi.bound());
  }));
}

}  // namespace teeio::sev
