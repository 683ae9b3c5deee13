#include "device/tdi.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/task.h"

namespace teeio::device {
namespace {

using wire::TdispError;

constexpr std::string_view kDeviceInfo = "teeio";

std::unexpected<TdispRefusal> refuse(TdispError code, std::string_view why) {
  return std::unexpected(TdispRefusal{code, why});
}

std::uint64_t first_8_bytes(const wire::TdispNonce& nonce) {
  return Reader(nonce).le<std::uint64_t>();
}

Bytes make_report(const TdiFunction& function, const wire::TdispLockInterface& lock) {
  wire::TdispReport report;
  report.interface_info = wire::kInfoDmaWithoutPasid;
  if ((lock.flags & wire::kLockNoFirmwareUpdate) != 0)
    report.interface_info |= wire::kInfoNoUpdateAfterLock;
  const bool msix_locked = (lock.flags & wire::kLockMsix) != 0;
  // Zero unless the lock covers MSI-X (PCIe Base Spec 11.3.11, MSI-X control).
  if (msix_locked) report.msix_message_control = function.msix_message_control();
  report.ranges = function.mmio_ranges(msix_locked);
  for (wire::TdispMmioRange& range : report.ranges) range.first_page += lock.mmio_reporting_offset;
  const ByteView info = std::as_bytes(std::span(kDeviceInfo));
  report.device_info.assign(info.begin(), info.end());
  return report.encode();
}

}  // namespace

TdispResult<wire::TdispNonce> Tdi::lock(const wire::TdispLockInterface& request) {
  const auto next = next_state(view_.state, TdiEvent::kLock);
  if (!next) return refuse(TdispError::kInvalidInterfaceState, "TDI is not CONFIG_UNLOCKED");
  if ((request.flags & ~kLockFlags) != 0)
    return refuse(TdispError::kInvalidRequest, "lock flags are not among those supported");
  if (!is_page_aligned(request.mmio_reporting_offset))
    return refuse(TdispError::kInvalidRequest, "MMIO reporting offset is not page aligned");
  if (const auto fault = function_.configuration_fault())
    return refuse(TdispError::kInvalidDeviceConfiguration, *fault);
  report_ = make_report(function_, request);
  schedule::fill_random(nonce_);
  stream_id_ = request.default_stream_id;
  view_.msix_lock = (request.flags & wire::kLockMsix) != 0;
  enter(*next, "LOCK_INTERFACE");
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiLockNonce, "LOCK_NONCE",
              {.function = bdf_, .a = first_8_bytes(nonce_)});
  return nonce_;
}

TdispResult<void> Tdi::start(const wire::TdispNonce& nonce) {
  const auto next = next_state(view_.state, TdiEvent::kStart);
  if (!next) return refuse(TdispError::kInvalidInterfaceState, "TDI is not CONFIG_LOCKED");
  if (nonce != nonce_) return refuse(TdispError::kInvalidNonce, "nonce is not this lock's");
  const std::uint64_t used = first_8_bytes(nonce_);
  enter(*next, "START_INTERFACE");
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiStarted, "STARTED",
              {.function = bdf_, .a = used});
  return {};
}

void Tdi::stop() { enter(TdiState::kConfigUnlocked, "STOP_INTERFACE"); }

void Tdi::violate(std::string_view cause) {
  enter(*next_state(view_.state, TdiEvent::kViolation), cause);
}

void Tdi::reset(hw::ResetKind kind) {
  const bool function_level = kind == hw::ResetKind::kFunctionLevel;
  enter(*next_state(view_.state,
                    function_level ? TdiEvent::kFunctionReset : TdiEvent::kConventionalReset),
        function_level ? "function-level-reset" : "conventional-reset");
  function_.scrub();
  trace_.fact(object::Lane::kDevice, object::Fact::kDeviceReset, "RESET",
              {.detail = function_level ? "kind=function-level" : "kind=hot", .function = bdf_});
}

TdispResult<wire::TdispInterfaceReportPortion> Tdi::report(std::uint16_t offset,
                                                           std::uint16_t length) const {
  if (!view_.locked())
    return refuse(TdispError::kInvalidInterfaceState, "TDI is not LOCKED or RUN");
  if (length == 0 || offset >= report_.size())
    return refuse(TdispError::kInvalidRequest, "report portion lies outside of the report");
  const ByteView rest = ByteView(report_).subspan(offset);
  const ByteView portion = rest.first(std::min<std::size_t>(length, rest.size()));
  return wire::TdispInterfaceReportPortion{static_cast<std::uint16_t>(rest.size() - portion.size()),
                                           {portion.begin(), portion.end()}};
}

std::optional<std::uint8_t> Tdi::stream() const {
  return view_.locked() ? std::optional(stream_id_) : std::nullopt;
}

void Tdi::publish(TdiView view) {
  view_ = view;
  published_.store(view);
}

void Tdi::enter(TdiState next, std::string_view cause) {
  const TdiState from = view_.state;
  if (next == from) return;
  if (next != TdiState::kConfigLocked) nonce_ = {};  // 11.3.9: no lock, no nonce
  if (next == TdiState::kConfigUnlocked) {
    // In ERROR nothing is answered: no T=1 access can still leave anything
    // behind, and no T=0 access can look before all is gone.
    publish({TdiState::kError, view_.msix_lock});
    function_.scrub();
    view_.msix_lock = false;
  }
  publish({next, view_.msix_lock});
  std::string detail = "from=";
  detail.append(wire::tdi_state_name(from)).append(" cause=").append(cause);
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiState, wire::tdi_state_name(next),
              {.detail = std::move(detail),
               .function = bdf_,
               .a = static_cast<std::uint64_t>(from),
               .b = static_cast<std::uint64_t>(next)});
}

}  // namespace teeio::device
