#include "device/tdi.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/seeded_bug.h"
#include "schedule/task.h"

namespace teeio::device {
namespace {

using wire::TdispError;

std::unexpected<TdispRefusal> refusal(TdispError code, std::string_view why) {
  return std::unexpected(TdispRefusal{code, why});
}

std::uint64_t first_8_bytes(const wire::TdispNonce& nonce) {
  return Reader(nonce).le<std::uint64_t>();
}

wire::TdispReport make_report(const TdiFunction& function, const wire::TdispLockInterface& lock) {
  const ReportOptions& options = function.report_options();
  wire::TdispReport report{.interface_info = options.interface_info,
                           .lnr_control = options.lnr_control,
                           .tph_control = options.tph_control,
                           .ranges = {},
                           .device_info = options.device_info};
  if ((lock.flags & wire::kLockNoFirmwareUpdate) != 0)
    report.interface_info |= wire::kInfoNoUpdateAfterLock;
  const bool msix_locked = (lock.flags & wire::kLockMsix) != 0;
  // Zero unless the lock covers MSI-X (PCIe Base Spec 11.3.11, MSI-X control).
  if (msix_locked) report.msix_message_control = function.msix_message_control();
  report.ranges = function.mmio_ranges(msix_locked);
  for (wire::TdispMmioRange& range : report.ranges) range = range.moved(lock.mmio_reporting_offset);
  TEEIO_CHECK(report.ranges.size() <= MmioLayout::kMaxParts, "a report has too many ranges");
  return report;
}

/// Without those that SET_MMIO_ATTRIBUTE may change, unless `all`.
RangeSet non_tee_ranges(const wire::TdispReport& report, bool all) {
  RangeSet set = 0;
  for (std::size_t i = 0; i < report.ranges.size(); ++i) {
    const std::uint16_t attributes = report.ranges[i].attributes;
    if ((attributes & wire::kMmioNonTeeMemory) == 0) continue;
    if (all || (attributes & wire::kMmioAttributeUpdatable) == 0)
      set = static_cast<RangeSet>(set | 1U << i);
  }
  return set;
}

}  // namespace

const ReportOptions& TdiFunction::report_options() const {
  static const ReportOptions kDefault;
  return kDefault;
}

bool TdiFunction::draw_nonce(wire::TdispNonce& nonce) {
  schedule::fill_random(nonce);
  return true;
}

TdispResult<wire::TdispNonce> Tdi::lock(const wire::TdispLockInterface& request,
                                        std::uint32_t session) {
  const auto next = next_state(view_.state, TdiEvent::kLock);
  if (!next) return refusal(TdispError::kInvalidInterfaceState, "TDI is not CONFIG_UNLOCKED");
  if ((request.flags & ~kLockFlags) != 0)
    return refusal(TdispError::kInvalidRequest, "lock flags are not among those supported");
  if (!is_page_aligned(request.mmio_reporting_offset))
    return refusal(TdispError::kInvalidRequest, "MMIO reporting offset is not page aligned");
  if (const auto fault = function_.configuration_fault())
    return refusal(TdispError::kInvalidDeviceConfiguration, *fault);
  wire::TdispNonce nonce{};
  if (!function_.draw_nonce(nonce))
    return refusal(TdispError::kInsufficientEntropy, "there is no randomness for a nonce");
  report_ = make_report(function_, request);
  encoded_ = report_.encode();
  lock_ = request;
  session_ = session;
  nonce_ = nonce;
  view_.msix_lock = (request.flags & wire::kLockMsix) != 0;
  enter(*next, "LOCK_INTERFACE");
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiLockNonce, "LOCK_NONCE",
              {.function = bdf_, .a = first_8_bytes(nonce_)});
  return nonce_;
}

TdispResult<void> Tdi::start(const wire::TdispNonce& nonce) {
  const auto next = next_state(view_.state, TdiEvent::kStart);
  if (!next) return refusal(TdispError::kInvalidInterfaceState, "TDI is not CONFIG_LOCKED");
  if (nonce != nonce_ && !schedule::seeded("nonce-unchecked"))
    return refusal(TdispError::kInvalidNonce, "nonce is not this lock's");
  const std::uint64_t used = first_8_bytes(nonce_);
  enter(*next, "START_INTERFACE");
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiStarted, "STARTED",
              {.function = bdf_, .a = used});
  return {};
}

TdispResult<void> Tdi::bind_p2p(std::uint8_t stream_id) {
  if (!legal_in(wire::TdispCode::kBindP2pStream, view_.state))
    return refusal(TdispError::kInvalidInterfaceState, "TDI is not RUN");
  if ((lock_.flags & wire::kLockBindP2p) == 0)
    return refusal(TdispError::kInvalidRequest, "the lock allows no peer-to-peer streams");
  if (uses(stream_id))
    return refusal(TdispError::kInvalidRequest, "the TDI has that stream already");
  p2p_streams_.push_back(stream_id);
  return {};
}

TdispResult<void> Tdi::unbind_p2p(std::uint8_t stream_id) {
  if (!legal_in(wire::TdispCode::kUnbindP2pStream, view_.state))
    return refusal(TdispError::kInvalidInterfaceState, "TDI is not RUN");
  if (std::erase(p2p_streams_, stream_id) == 0)
    return refusal(TdispError::kInvalidRequest, "the stream is not bound to the TDI");
  return {};
}

TdispResult<void> Tdi::set_mmio_attribute(const wire::TdispMmioRange& range) {
  if (!legal_in(wire::TdispCode::kSetMmioAttribute, view_.state))
    return refusal(TdispError::kInvalidInterfaceState, "TDI is not RUN");
  const auto found = std::ranges::find_if(report_.ranges, [&](const wire::TdispMmioRange& known) {
    return known.range_id == range.range_id && known.first_page == range.first_page &&
           known.pages == range.pages && (known.attributes & wire::kMmioAttributeUpdatable) != 0;
  });
  if (found == report_.ranges.end())
    return refusal(TdispError::kInvalidRequest, "that is no range whose attribute can be set");
  const bool open = (range.attributes & wire::kMmioNonTeeMemory) != 0;
  const unsigned kept = found->attributes & ~unsigned{wire::kMmioNonTeeMemory};
  found->attributes =
      static_cast<std::uint16_t>(kept | (open ? unsigned{wire::kMmioNonTeeMemory} : 0U));
  encoded_ = report_.encode();
  publish({view_.state, view_.msix_lock, non_tee_ranges(report_, true)});
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
    return refusal(TdispError::kInvalidInterfaceState, "TDI is not LOCKED or RUN");
  if (length == 0 || offset >= encoded_.size())
    return refusal(TdispError::kInvalidRequest, "report portion lies outside of the report");
  const ByteView rest = ByteView(encoded_).subspan(offset);
  const ByteView portion = rest.first(std::min<std::size_t>(length, rest.size()));
  return wire::TdispInterfaceReportPortion{static_cast<std::uint16_t>(rest.size() - portion.size()),
                                           {portion.begin(), portion.end()}};
}

bool Tdi::uses(std::uint8_t stream_id) const {
  if (!view_.locked()) return false;
  return lock_.default_stream_id == stream_id ||
         std::ranges::find(p2p_streams_, stream_id) != p2p_streams_.end();
}

std::optional<std::uint32_t> Tdi::session() const {
  return view_.locked() ? std::optional(session_) : std::nullopt;
}

void Tdi::publish(TdiView view) {
  view_ = view;
  published_.store(view);
}

void Tdi::enter(TdiState next, std::string_view cause) {
  const TdiState from = view_.state;
  if (next == from) return;
  if (next != TdiState::kConfigLocked) nonce_ = {};  // 11.3.9: no lock, no nonce
  if (!has_report(next)) p2p_streams_.clear();
  if (next == TdiState::kConfigUnlocked) {
    // In ERROR nothing is answered: no T=1 access can still leave anything
    // behind, and no T=0 access can look before all is gone.
    publish({TdiState::kError, view_.msix_lock, non_tee_ranges(report_, false)});
    function_.scrub();
    view_.msix_lock = false;
    report_ = {};
    encoded_.clear();
  }
  publish({next, view_.msix_lock, non_tee_ranges(report_, has_report(next))});
  std::string detail = "from=";
  detail.append(wire::tdi_state_name(from)).append(" cause=").append(cause);
  trace_.fact(object::Lane::kDevice, object::Fact::kTdiState, wire::tdi_state_name(next),
              {.detail = std::move(detail),
               .function = bdf_,
               .a = static_cast<std::uint64_t>(from),
               .b = static_cast<std::uint64_t>(next)});
}

}  // namespace teeio::device
