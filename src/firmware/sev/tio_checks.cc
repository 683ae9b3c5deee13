#include "firmware/sev/tio_checks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "firmware/sev/tio.h"

// What each SEV-TIO command checks, in this order. The firmware's source is closed: names
// and numbers of statuses are public (Linux include/uapi/linux/psp-sev.h), and for some rows
// what a driver expects is. Which status goes with which check, and the order, are this
// model's choice: explorations try the answer of each that fails (Tio::failed_check()). The
// buffer's length is checked before any of these (platform.cc).

namespace teeio::sev {
namespace {

/// The driver's TIO_INIT is the only one, and comes first.
constexpr std::string_view kDriver = "sev-dev-tio.c, sev_tio_init_locked()";

#define ROW(id, status, why) \
  TioCheck { TioCheckId::id, Status::status, why, kModelsChoice }

constexpr TioCheck kEnabledRow{TioCheckId::kEnabled, Status::kInvalidPlatformState,
                               "SNP was initialised without SEV-TIO", kDriver};
constexpr TioCheck kNotInitRow{TioCheckId::kNotInit, Status::kInvalidPlatformState,
                               "SEV-TIO is initialised already", kDriver};
constexpr TioCheck kInitRow = ROW(kInit, kInvalidPlatformState, "SEV-TIO is not initialised");
constexpr TioCheck kReservedRow = ROW(kReserved, kInvalidParam, "a reserved field is not zero");
constexpr TioCheck kFlagsRow = ROW(kFlags, kInvalidParam, "the command has no such flag");
constexpr TioCheck kStatusPageRow =
    ROW(kStatusPage, kInvalidPageState,
        "the status page is not the firmware's, or lies in an entry of 2 MiB");
constexpr TioCheck kDeviceRow =
    ROW(kDeviceContext, kInvalidDeviceContext, "the address is of no device context");
constexpr TioCheck kTdiRow =
    ROW(kTdiContext, kInvalidTdiContext, "the address is of no TDI context");
constexpr TioCheck kTdiOfDeviceRow =
    ROW(kTdiOfDevice, kInvalidTdi, "the TDI context is of another device");
constexpr TioCheck kBuffersRow = ROW(kBuffers, kInvalidAddress, "an SPDM buffer is not there");
constexpr TioCheck kBufferPagesRow =
    ROW(kBufferPages, kInvalidPageState,
        "an SPDM buffer's pages are in the wrong state, or lie in an entry of 2 MiB");
constexpr TioCheck kIdleRow = ROW(kIdle, kInUse, "another command waits for the device");
constexpr TioCheck kConnectedRow =
    ROW(kConnected, kInvalidDeviceState, "the device is not connected");
constexpr TioCheck kSessionRow =
    ROW(kSession, kErrorInDeviceConnection, "the session with the device is gone");
constexpr TioCheck kGuestRow = ROW(kGuest, kInvalidGuest, "the page is no guest's context");
constexpr TioCheck kGuestLaunchedRow =
    ROW(kGuestLaunched, kInvalidGuestState, "the guest's launch has not begun");
constexpr TioCheck kGuestActiveRow = ROW(kGuestActive, kInactive, "the guest has no ASID");
constexpr TioCheck kSameGuestRow = ROW(kSameGuest, kInvalidGuest, "the TDI is another guest's");

constexpr TioCheck kStatusChecks[] = {kReservedRow, kStatusPageRow};
constexpr TioCheck kInitChecks[] = {kEnabledRow, kNotInitRow, kReservedRow};
constexpr TioCheck kDevCreateChecks[] = {
    kInitRow, kReservedRow,
    ROW(kNewDevicePages, kInvalidPageState,
        "the device context's pages are not the firmware's, or lie in an entry of 2 MiB"),
    ROW(kRootPort, kInvalidParam, "no root port has that number"),
    ROW(kNewDevice, kInUse, "the device has a context already")};
constexpr TioCheck kDevReclaimChecks[] = {
    kInitRow, kReservedRow, kDeviceRow,
    ROW(kNoTdi, kReclaimRequired, "TDI contexts of the device exist"),
    ROW(kCreated, kInvalidDeviceState, "the device is connected")};
constexpr TioCheck kDevConnectChecks[] = {
    kInitRow,
    kReservedRow,
    kDeviceRow,
    ROW(kCreated, kInvalidDeviceState, "the device is connected already"),
    ROW(kTrafficClass, kInvalidParam, "a traffic class but TC0 is asked for"),
    ROW(kCertificateSlot, kInvalidParam, "there is no such certificate slot"),
    ROW(kStream, kInvalidConfig, "the root port's stream is not set up"),
    kBuffersRow,
    kBufferPagesRow};
constexpr TioCheck kDevDisconnectChecks[] = {
    kInitRow,
    kFlagsRow,
    kDeviceRow,
    kConnectedRow,
    ROW(kNoBoundTdi, kInUse, "TDIs of the device are bound"),
    kBuffersRow,
    kBufferPagesRow,
    kIdleRow,
    kSessionRow};
constexpr TioCheck kDevStatusChecks[] = {kInitRow, kReservedRow, kDeviceRow, kStatusPageRow};
constexpr TioCheck kDevMeasurementsChecks[] = {kInitRow,      kFlagsRow,   kDeviceRow,
                                               kConnectedRow, kBuffersRow, kBufferPagesRow,
                                               kIdleRow,      kSessionRow};
constexpr TioCheck kDevSpdmChecks[] = {kInitRow,    kReservedRow,    kDeviceRow, kConnectedRow,
                                       kBuffersRow, kBufferPagesRow, kIdleRow,   kSessionRow};
constexpr TioCheck kTdiCreateChecks[] = {
    kInitRow,
    kReservedRow,
    kDeviceRow,
    kConnectedRow,
    ROW(kNewTdiPages, kInvalidPageState,
        "the TDI context's pages are not the firmware's, or lie in an entry of 2 MiB"),
    ROW(kNewTdi, kInUse, "the function has a TDI context already")};
constexpr TioCheck kTdiReclaimChecks[] = {kInitRow,
                                          kReservedRow,
                                          kDeviceRow,
                                          kTdiRow,
                                          kTdiOfDeviceRow,
                                          kIdleRow,
                                          ROW(kUnbound, kInvalidTdiState, "the TDI is bound")};
constexpr TioCheck kTdiBindChecks[] = {
    kInitRow,
    kReservedRow,
    kFlagsRow,
    ROW(kLockFlags, kInvalidParam, "LOCK_INTERFACE has no such flag"),
    kDeviceRow,
    kTdiRow,
    kTdiOfDeviceRow,
    kConnectedRow,
    ROW(kBindable, kInvalidTdiState, "the TDI is bound already"),
    kGuestRow,
    kGuestLaunchedRow,
    kGuestActiveRow,
    kSameGuestRow,
    ROW(kGuestIdFree, kInvalidParam, "another TDI of the guest has that id"),
    kBuffersRow,
    kBufferPagesRow,
    kIdleRow,
    kSessionRow};
constexpr TioCheck kTdiUnbindChecks[] = {
    kInitRow,        kFlagsRow,       kDeviceRow,
    kTdiRow,         kTdiOfDeviceRow, ROW(kBound, kInvalidTdiState, "the TDI is not bound"),
    kGuestRow,       kSameGuestRow,   kBuffersRow,
    kBufferPagesRow, kIdleRow,        kSessionRow};
constexpr TioCheck kTdiReportChecks[] = {
    kInitRow,        kReservedRow,    kDeviceRow,
    kTdiRow,         kTdiOfDeviceRow, ROW(kLocked, kInvalidTdiState, "the TDI is not bound"),
    kGuestRow,       kSameGuestRow,   kBuffersRow,
    kBufferPagesRow, kIdleRow,        kSessionRow};
constexpr TioCheck kTdiStatusChecks[] = {
    kInitRow,       kReservedRow, kDeviceRow,      kTdiRow,  kTdiOfDeviceRow, kConnectedRow,
    kStatusPageRow, kBuffersRow,  kBufferPagesRow, kIdleRow, kSessionRow};
constexpr TioCheck kGuestRequestChecks[] = {
    kInitRow,
    kReservedRow,
    kDeviceRow,
    kTdiRow,
    kTdiOfDeviceRow,
    kConnectedRow,
    kGuestRow,
    kGuestLaunchedRow,
    kGuestActiveRow,
    kBuffersRow,
    kBufferPagesRow,
    kIdleRow,
    ROW(kRequestPage, kInvalidAddress, "the request page is not there"),
    ROW(kResponsePage, kInvalidPageState,
        "the response page is not the firmware's, or lies in an entry of 2 MiB"),
    ROW(kMessage, kInvalidParam, "the message's header or sequence number is wrong"),
    ROW(kMessageAuthentic, kBadMeasurement, "the message is not the guest's")};
constexpr TioCheck kFenceClearChecks[] = {
    kInitRow,        kReservedRow,
    kDeviceRow,      kGuestRow,
    kGuestActiveRow, ROW(kOffenderGone, kInUse, "the TDI that raised the fence is still bound")};
constexpr TioCheck kFenceStatusChecks[] = {kInitRow, kReservedRow, kDeviceRow,
                                           ROW(kAsid, kInvalidAsid, "no guest may have that ASID"),
                                           kStatusPageRow};
constexpr TioCheck kTdiInfoChecks[] = {kInitRow, kReservedRow,    kDeviceRow,
                                       kTdiRow,  kTdiOfDeviceRow, kStatusPageRow};
#undef ROW

/// Bytes that a command writes into its status page.
std::size_t answer_size(TioCommand command) {
  if (command == TioCommand::kStatus) return TioStatus::kSize;
  if (command == TioCommand::kDevStatus) return 160;
  if (command == TioCommand::kTdiStatus) return 16;
  if (command == TioCommand::kTdiInfo) return 192;
  return sizeof(std::uint64_t);  // TIO_ASID_FENCE_STATUS
}

}  // namespace

std::span<const TioCheck> tio_checks(TioCommand command) {
  switch (command) {
    case TioCommand::kStatus:
      return kStatusChecks;
    case TioCommand::kInit:
      return kInitChecks;
    case TioCommand::kDevCreate:
      return kDevCreateChecks;
    case TioCommand::kDevReclaim:
      return kDevReclaimChecks;
    case TioCommand::kDevConnect:
      return kDevConnectChecks;
    case TioCommand::kDevDisconnect:
      return kDevDisconnectChecks;
    case TioCommand::kDevStatus:
      return kDevStatusChecks;
    case TioCommand::kDevMeasurements:
      return kDevMeasurementsChecks;
    case TioCommand::kDevCertificates:
    case TioCommand::kRollKey:
      return kDevSpdmChecks;
    case TioCommand::kTdiCreate:
      return kTdiCreateChecks;
    case TioCommand::kTdiReclaim:
      return kTdiReclaimChecks;
    case TioCommand::kTdiBind:
      return kTdiBindChecks;
    case TioCommand::kTdiUnbind:
      return kTdiUnbindChecks;
    case TioCommand::kTdiReport:
      return kTdiReportChecks;
    case TioCommand::kTdiStatus:
      return kTdiStatusChecks;
    case TioCommand::kGuestRequest:
      return kGuestRequestChecks;
    case TioCommand::kAsidFenceClear:
      return kFenceClearChecks;
    case TioCommand::kAsidFenceStatus:
      return kFenceStatusChecks;
    case TioCommand::kTdiInfo:
      return kTdiInfoChecks;
  }
  return {};
}

namespace {

/// Of a page that has an entry of its own: a command takes one page, not the 2 MiB around it.
bool in_state(Platform& psp, Hpa address, PageState wanted) {
  const Hpa page = page_of(address);
  return psp.rmp().covers(page) && psp.rmp().state(page) == wanted &&
         psp.rmp().entry(page).size == RmpSize::k4K;
}

/// Pages that may become a context of `bytes`.
bool context_pages(Platform& psp, Sla sla, std::uint32_t bytes) {
  const auto pages = sla.pages(psp.memory());
  if (!pages || pages->size() * kPageSize < bytes) return false;
  return std::set(pages->begin(), pages->end()).size() == pages->size() &&
         std::ranges::all_of(*pages, [&](Hpa page) {
           return in_state(psp, page, PageState::kFirmware) && !psp.memory().is_mmio(page);
         });
}

bool buffer_pages(Platform& psp, Sla sla, PageState wanted) {
  const auto pages = sla.pages(psp.memory());
  return pages &&
         std::ranges::all_of(*pages, [&](Hpa page) { return in_state(psp, page, wanted); });
}

bool status_page(Platform& psp, TioCall& c) {
  const Hpa at = c.in.status_page;
  // TIO_STATUS comes before SNP has pages of the firmware's, too.
  const bool early = !psp.snp() && in_state(psp, at, PageState::kHypervisor);
  return offset_in_page(at) + answer_size(c.command) <= kPageSize &&
         (early || in_state(psp, at, PageState::kFirmware));
}

bool flags(const TioCall& c) {
  if (c.command == TioCommand::kTdiBind) return (c.in.run_flags & ~kRunForce) == 0;
  if (c.command == TioCommand::kDevMeasurements) return (c.in.flags & ~kRawMeasurements) == 0;
  return (c.in.flags & ~kForce) == 0;
}

bool bindable(const TioCall& c) {
  if (c.tdi->state == TdiContext::State::kLocked) return (c.in.run_flags & kRunForce) != 0;
  return c.tdi->state == TdiContext::State::kUnbound && !c.tdi->asked_lock;
}

}  // namespace

bool TioChecks::holds(Tio& tio, TioCall& c, TioCheckId id) {
  using enum TioCheckId;
  using State = DeviceContext::State;
  constexpr std::uint16_t kLockFlagsKnown = 0x1d;  // TIO_TDI_BIND_FLAG_*
  constexpr std::uint8_t kSlots = 8;
  Platform& psp = tio.psp_;
  const TioOperands& in = c.in;
  switch (id) {
    case kEnabled:
      return psp.snp() && psp.tio();
    case kNotInit:
      return !tio.init_done_;
    case kInit:
      return tio.init_done_ && psp.tio();
    case kReserved:
      return in.reserved_zero;
    case kFlags:
      return flags(c);
    case kStatusPage:
      return status_page(psp, c);
    case kDeviceContext:
      return c.device != nullptr;
    case kTdiContext:
      return c.tdi != nullptr;
    case kTdiOfDevice:
      return c.tdi->device == c.device->pages.front();
    case kNewDevicePages:
      return context_pages(psp, in.device, Tio::kDeviceContextBytes);
    case kNewTdiPages:
      return context_pages(psp, in.tdi, Tio::kTdiContextBytes);
    case kRootPort:
      return std::ranges::count(tio.ports_, in.root_port_id, &TioPort::number) == 1;
    case kNewDevice:
      return std::ranges::none_of(tio.devices_, [&](const auto& at) {
        return at.second.function == Bdf::from_rid(in.device_id, in.segment);
      });
    case kNewTdi:
      return !std::as_const(tio.by_function_).contains(in.function_id);
    case kBuffers:
      return std::ranges::all_of(
          std::array{in.spdm.request, in.spdm.response, in.spdm.scratch, in.spdm.output},
          [&](Sla sla) {
            const auto pages = sla.pages(psp.memory());
            return pages &&
                   std::ranges::all_of(*pages, [&](Hpa page) { return psp.rmp().covers(page); });
          });
    case kBufferPages:
      return buffer_pages(psp, in.spdm.response, PageState::kHypervisor) &&
             std::ranges::all_of(
                 std::array{in.spdm.request, in.spdm.scratch, in.spdm.output},
                 [&](Sla sla) { return buffer_pages(psp, sla, PageState::kFirmware); });
    case kIdle:
      return !c.device->pending || c.forced();
    case kCreated:
      return c.device->state == State::kCreated;
    case kConnected:
      return c.device->state == State::kConnected;
    case kSession:
      return c.device->channel->connected() || c.forced();
    case kTrafficClass:
      return in.tc_mask == 1;
    case kCertificateSlot:
      return in.certificate_slot < kSlots;
    case kStream:
      return c.device->port.port->find_stream(in.stream_ids[0]).has_value();
    case kNoBoundTdi:
      return c.forced() || tio.tdis_of(*c.device, true) == 0;
    case kNoTdi:
      return tio.tdis_of(*c.device, false) == 0;
    case kGuest:
      return c.guest != nullptr;
    case kGuestLaunched:
      return c.guest->state != GuestContext::State::kInit;
    case kGuestActive:
      return c.guest->asid != 0;
    case kBindable:
      return bindable(c);
    case kSameGuest:
      return raw(c.tdi->guest) == 0 || c.tdi->guest == in.guest;
    case kGuestIdFree: {
      const auto& taken = std::as_const(tio.by_guest_);
      const auto whose = taken.find({raw(in.guest), in.guest_device_id});
      return whose == taken.end() || whose->second == c.tdi_page();
    }
    case kLockFlags:
      return (in.lock_flags & ~kLockFlagsKnown) == 0;
    case kBound:
      return c.tdi->bound() || c.tdi->asked_lock;
    case kLocked:
      return c.tdi->bound();
    case kUnbound:
      return !c.tdi->bound();
    case kOffenderGone: {
      const auto rid = tio.guard_.offender(c.device->port.root, c.guest->asid);
      return !rid || std::ranges::none_of(tio.tdis_, [&](const auto& at) {
        return at.second.bound() && at.second.function.rid() == *rid;
      });
    }
    case kAsid:
      return in.asid >= 1 && in.asid <= Rmp::kMaxAsid;
    case kRequestPage:
      return is_page_aligned(raw(in.request_page)) &&
             psp.read_page(in.request_page, kPageSize).has_value();
    case kResponsePage:
      return is_page_aligned(raw(in.response_page)) &&
             in_state(psp, in.response_page, PageState::kFirmware);
    case kMessage:
      return tio.open_message(c) != Tio::MessageState::kMalformed;
    case kMessageAuthentic:
      return tio.open_message(c) == Tio::MessageState::kOpen;
  }
  return false;
}

}  // namespace teeio::sev
