#include <utility>

#include "firmware/sev/tio.h"

// Functions of guests: the TIO_TDI_* commands.

namespace teeio::sev {
namespace {

using object::Fact;
using State = TdiContext::State;

constexpr std::uint16_t kReportPortion = 0x800;  // bytes
constexpr std::uint8_t kReportObject = 1;        // TIO_SPDM_REPORT

}  // namespace

void Tio::fact(Fact fact, std::string_view name, const TdiContext& tdi, std::uint64_t a) {
  psp_.trace().fact(object::Lane::kFirmware, fact, name,
                    {.function = tdi.bdf(), .vm = tdi.vm, .a = a});
}

Status Tio::tdi_create(TioCall& c) {
  const std::vector<Hpa> pages = *c.in.tdi.pages(psp_.memory());
  for (const Hpa page : pages) psp_.rmp().make_context(page);
  tdis_[raw(pages.front())] =
      TdiContext{.pages = pages, .device = c.device->pages.front(), .function = {c.in.function_id}};
  by_function_.try_emplace(c.in.function_id, pages.front());
  return Status::kSuccess;
}

/// A TDI that a failed BIND may have locked is forgotten all the same: the host should have
/// unbound it.
Status Tio::tdi_reclaim(TioCall& c) {
  const std::vector<Hpa> pages = c.tdi->pages;
  release_guest(*c.tdi);
  if (c.tdi->vm != 0) fact(Fact::kMetadataRemoved, "TDI context reclaimed", *c.tdi);
  by_function_.erase(c.tdi->function.raw);
  tdis_.erase(raw(pages.front()));
  for (const Hpa page : pages) psp_.rmp().leave_context(page);
  return Status::kSuccess;
}

void Tio::release_guest(TdiContext& tdi) {
  const Hpa gctx = std::exchange(tdi.guest, Hpa{0});
  if (raw(gctx) != 0) by_guest_.erase({raw(gctx), tdi.guest_device_id});
  guard_.assign(tdi.function.rid(), 0);
  if (GuestContext* guest = psp_.guest(gctx); guest != nullptr) --guest->bound_tdis;
}

void Tio::dma_off(TdiContext& tdi) {
  guard_.write(tdi.function.rid(), {});
  if (std::exchange(tdi.dma, false)) fact(Fact::kTrustedDmaOff, "sDTE invalid", tdi);
}

/// A TDI that the device has not stopped may be as it was, whatever its context says: AMD's
/// tdi_unbind() asks for its state after that, and reclaims the context in any case.
void Tio::unbound(TdiContext& tdi, bool stopped) {
  tdi.state = State::kUnbound;
  tdi.asked_lock = false;
  release_guest(tdi);
  fact(stopped ? Fact::kTdiStopped : Fact::kTdiStopFailed,
       stopped ? "TDI stopped" : "TDI given up by force", tdi);
}

Exchange Tio::report_portion(DeviceContext& device, TdiContext& tdi) {
  const auto offset = static_cast<std::uint16_t>(tdi.report.size());
  return tdisp(
      tdi.function, wire::TdispGetInterfaceReport{.offset = offset, .length = kReportPortion},
      [this, &device, &tdi](const wire::TdispBody& body) -> Result<void> {
        const auto* answer = std::get_if<wire::TdispInterfaceReportPortion>(&body);
        if (answer == nullptr || answer->portion.empty() ||
            tdi.report.size() + answer->portion.size() > wire::TdispReport::kMaxSize)
          return fail(Errno::kIo, "the device gives no report");
        tdi.report.insert(tdi.report.end(), answer->portion.begin(), answer->portion.end());
        if (answer->remainder == 0)
          ++tdi.report_count;
        else
          device.pending->talk.add(report_portion(device, tdi));
        return {};
      });
}

Exchange Tio::state_question(TdiContext& tdi) {
  return tdisp(tdi.function, wire::TdispGetInterfaceState{},
               [&tdi](const wire::TdispBody& body) -> Result<void> {
                 const auto* answer = std::get_if<wire::TdispInterfaceState>(&body);
                 if (answer == nullptr) return fail(Errno::kIo, "the device tells no TDI state");
                 tdi.tdisp_state = static_cast<std::uint8_t>(answer->state);
                 return {};
               });
}

Exchange Tio::lock_exchange(TioCall& c) {
  TdiContext& tdi = *c.tdi;
  const bool run = (c.in.run_flags & kRunForce) != 0;
  const wire::TdispLockInterface lock{.flags = c.in.lock_flags,
                                      .default_stream_id = c.device->stream_ids[0]};
  return tdisp(tdi.function, lock,
               [this, run, &tdi, device = c.device](const wire::TdispBody& body) -> Result<void> {
                 const auto* answer = std::get_if<wire::TdispLockInterfaceResponse>(&body);
                 tdi.asked_lock = false;
                 if (answer == nullptr) return fail(Errno::kIo, "the device refuses LOCK");
                 tdi.nonce = answer->nonce;
                 tdi.state = State::kLocked;
                 if (run) device->pending->talk.add(start_exchange(*device, tdi));
                 return {};
               });
}

/// The guest has asked its host for this; the firmware itself hears no more. What the guest
/// has not seen to is still shut: its sDTE and its MMIO.
Exchange Tio::start_exchange(DeviceContext& device, TdiContext& tdi) {
  fact(Fact::kGuestStart, "start asked for", tdi, Reader(tdi.nonce).le<std::uint64_t>());
  return tdisp(tdi.function, wire::TdispStartInterface{.nonce = tdi.nonce},
               [this, &tdi, root = device.port.root](const wire::TdispBody& body) -> Result<void> {
                 if (!std::holds_alternative<wire::TdispStartInterfaceResponse>(body))
                   return fail(Errno::kIo, "the device refuses START");
                 tdi.state = State::kRun;
                 if (guard_.fence(root, tdi.asid) == Fence::kDefault) guard_.open(root, tdi.asid);
                 return {};
               });
}

/// Locks an unbound TDI and reads its report; with the run flag starts it, too, or one that
/// is locked already.
Status Tio::tdi_bind(TioCall& c) {
  TdiContext& tdi = *c.tdi;
  std::deque<Exchange> script;
  if (tdi.state == State::kUnbound) {
    take_for_guest(c);
    script.push_back(lock_exchange(c));
    script.push_back(report_portion(*c.device, tdi));
  } else {
    script.push_back(start_exchange(*c.device, tdi));
  }
  return begin(c, Conversation(std::move(script)), [this](TioCall& call, const Result<void>& how) {
    TdiContext& bound = *call.tdi;
    if (how) return give_output(call, DataObject::Id::kReport, kReportObject, bound.report);
    if (!bound.bound() && !bound.asked_lock) release_guest(bound);
    return broken(call, how.error());
  });
}

/// From here on the TDI counts as the guest's, which keeps the guest's context.
void Tio::take_for_guest(TioCall& c) {
  TdiContext& tdi = *c.tdi;
  if (raw(tdi.guest) == 0)
    ++c.guest->bound_tdis;
  else
    by_guest_.erase({raw(tdi.guest), tdi.guest_device_id});
  if (tdi.vm != 0 && tdi.vm != c.guest->vm) fact(Fact::kMetadataRemoved, "TDI of no guest", tdi);
  const bool known = tdi.vm != 0 && tdi.vm == c.guest->vm;
  tdi.guest = c.in.guest;
  tdi.asid = c.guest->asid;
  guard_.assign(tdi.function.rid(), tdi.asid);
  tdi.vm = c.guest->vm;
  tdi.guest_device_id = c.in.guest_device_id;
  by_guest_[{raw(tdi.guest), tdi.guest_device_id}] = tdi.pages.front();
  tdi.lock_flags = c.in.lock_flags;
  tdi.asked_lock = true;
  tdi.report.clear();
  c.device->fresh = false;
  if (!known) fact(Fact::kMetadataCreated, "TDI of a guest", tdi);
}

/// DMA off at once; then the device stops. A forced unbind does not depend on the device.
Status Tio::tdi_unbind(TioCall& c) {
  TdiContext& tdi = *c.tdi;
  c.device->pending.reset();
  dma_off(tdi);
  const bool forced = c.forced();
  std::deque<Exchange> script;
  script.push_back(tdisp(tdi.function, wire::TdispStopInterface{},
                         [](const wire::TdispBody& body) -> Result<void> {
                           if (std::holds_alternative<wire::TdispStopInterfaceResponse>(body))
                             return {};
                           return fail(Errno::kIo, "the device refuses STOP");
                         }));
  return begin(c, Conversation(std::move(script)),
               [this, forced](TioCall& call, const Result<void>& how) {
                 if (!how && !forced) return broken(call, how.error());
                 unbound(*call.tdi, how.has_value());
                 return Status::kSuccess;
               });
}

Status Tio::tdi_report(TioCall& c) {
  c.tdi->report.clear();
  std::deque<Exchange> script;
  script.push_back(report_portion(*c.device, *c.tdi));
  return begin(c, Conversation(std::move(script)), [this](TioCall& call, const Result<void>& how) {
    if (!how) return broken(call, how.error());
    return give_output(call, DataObject::Id::kReport, kReportObject, call.tdi->report);
  });
}

/// struct sev_tio_tdi_status_data.
Status Tio::tdi_status(TioCall& c) {
  std::deque<Exchange> script;
  script.push_back(state_question(*c.tdi));
  return begin(c, Conversation(std::move(script)), [this](TioCall& call, const Result<void>& how) {
    if (!how) return broken(call, how.error());
    constexpr std::uint32_t kLength = 16;
    const Bytes answer = Writer().le(kLength).le(call.tdi->tdisp_state).zeros(11).take();
    if (psp_.write_page(call.in.status_page, answer)) return Status::kSuccess;
    return call.call.refuse(Status::kInvalidPageState, "the status page is not the firmware's");
  });
}

/// struct sev_tio_tdi_info_data.
Status Tio::tdi_info(TioCall& c) {
  constexpr std::uint32_t kLength = 192;
  const TdiContext& tdi = *c.tdi;
  Writer out;
  out.le(kLength).le(tdi.function.raw).zeros(8);
  out.le(static_cast<std::uint32_t>(c.device->measured ? 1 : 0) |
         static_cast<std::uint32_t>(c.device->fresh ? 2 : 0) |
         static_cast<std::uint32_t>(tdi.state) << 2U);
  out.le(std::uint32_t{tdi.lock_flags}).le(algorithms_of(*c.device));
  out.bytes(digest_of(certificates(*c.device))).bytes(digest_of(measurements(*c.device)));
  out.bytes(digest_of(tdi.report)).le(tdi.report_count);
  out.le(tdi.bound() ? tdi.asid : 0U).zeros(4);
  if (psp_.write_page(c.in.status_page, out.take())) return Status::kSuccess;
  return c.call.refuse(Status::kInvalidAddress, "the answer has no place there");
}

}  // namespace teeio::sev
