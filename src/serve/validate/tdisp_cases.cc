#include "serve/validate/tdisp_cases.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "serve/validate/bench.h"

namespace teeio::serve::validate {
namespace {

using wire::TdispNonce;
using wire::TdiState;

Verdict version(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  const auto body = tdi.ask(wire::TdispGetVersion{});
  TEEIO_CASE(body.has_value(), "{}", body.error());
  const auto* answer = std::get_if<wire::TdispVersion>(&*body);
  TEEIO_CASE(answer != nullptr, "something else than TDISP_VERSION came");
  TEEIO_CASE(std::ranges::find(answer->versions, wire::kTdispVersion10) != answer->versions.end(),
             "version 1.0 is not among the {}", answer->versions.size());
  return passed();
}

Verdict capabilities(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  const auto body = tdi.ask(wire::TdispGetCapabilities{});
  TEEIO_CASE(body.has_value(), "{}", body.error());
  const auto* answer = std::get_if<wire::TdispCapabilities>(&*body);
  TEEIO_CASE(answer != nullptr, "something else than TDISP_CAPABILITIES came");
  constexpr unsigned kMandatory = 0xfe;  // GET_TDISP_VERSION … STOP_INTERFACE
  TEEIO_CASE((answer->requests[0] & kMandatory) == kMandatory,
             "not all mandatory requests are supported: {:#04x}", answer->requests[0]);
  TEEIO_CASE((answer->lock_flags & 0xffe0U) == 0, "reserved lock flags: {:#06x}",
             answer->lock_flags);
  TEEIO_CASE(answer->address_width >= 1 && answer->address_width <= 64, "addresses of {} bits",
             answer->address_width);
  return passed();
}

// --- states ---------------------------------------------------------------------

/// The TDI says that it is in `wanted`.
Verdict is_in(TdiUnderTest& tdi, TdiState wanted) {
  const auto state = tdi.state();
  TEEIO_CASE(state.has_value(), "{}", state.error());
  TEEIO_CASE(*state == wanted, "the state is {}, not {}", wire::tdi_state_name(*state),
             wire::tdi_state_name(wanted));
  return passed();
}

Verdict state_unlocked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  return is_in(tdi, TdiState::kConfigUnlocked);
}
Verdict state_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  return is_in(tdi, TdiState::kConfigLocked);
}
Verdict state_run(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  return is_in(tdi, TdiState::kRun);
}
Verdict state_after_stop(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return is_in(tdi, TdiState::kConfigUnlocked);
}

// --- LOCK_INTERFACE -----------------------------------------------------------------

Verdict lock_all_flags(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  const auto flags = tdi.lock_flags();
  TEEIO_CASE(flags.has_value(), "{}", flags.error());
  const auto nonce = tdi.lock(*flags);
  TEEIO_CASE(nonce.has_value(), "flags {:#06x}: {}", *flags, nonce.error());
  return is_in(tdi, TdiState::kConfigLocked);
}

Verdict lock_nonces_differ(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  const auto first = tdi.lock();
  TEEIO_CASE(first.has_value(), "{}", first.error());
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  const auto second = tdi.lock();
  TEEIO_CASE(second.has_value(), "the second: {}", second.error());
  TEEIO_CASE(*first != *second, "two locks have one nonce");
  return passed();
}

Verdict lock_without_keys(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  return refuses(tdi, wire::TdispLockInterface{.default_stream_id = tdi.stream_id},
                 wire::TdispError::kInvalidRequest, TdiState::kConfigUnlocked);
}

Verdict lock_with_half_the_keys(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  const auto programmed = bench.program_keys(tdi.session(), 0);
  TEEIO_CASE(programmed.has_value(), "{}", programmed.error());
  return refuses(tdi, wire::TdispLockInterface{.default_stream_id = tdi.stream_id},
                 wire::TdispError::kInvalidRequest, TdiState::kConfigUnlocked);
}

Verdict lock_unknown_stream(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  return refuses(tdi, wire::TdispLockInterface{.default_stream_id = 0xfd},
                 wire::TdispError::kInvalidRequest, TdiState::kConfigUnlocked);
}

Verdict lock_reserved_flags(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  return refuses(tdi, wire::TdispLockInterface{.flags = 0x8000, .default_stream_id = tdi.stream_id},
                 wire::TdispError::kInvalidRequest, TdiState::kConfigUnlocked);
}

Verdict lock_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  return refuses(tdi, wire::TdispLockInterface{.default_stream_id = tdi.stream_id},
                 wire::TdispError::kInvalidInterfaceState, TdiState::kConfigLocked);
}

Verdict lock_running(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  return refuses(tdi, wire::TdispLockInterface{.default_stream_id = tdi.stream_id},
                 wire::TdispError::kInvalidInterfaceState, TdiState::kRun);
}

// --- DEVICE_INTERFACE_REPORT ----------------------------------------------------------

Verdict report_of(TdiUnderTest& tdi) {
  const auto bytes = tdi.report();
  TEEIO_CASE(bytes.has_value(), "{}", bytes.error());
  const auto report = wire::TdispReport::decode(*bytes);
  TEEIO_CASE(report.has_value(), "the report of {} bytes: {}", bytes->size(), report.error().why);
  TEEIO_CASE((report->interface_info & 0xffe0U) == 0, "reserved bits of INTERFACE_INFO: {:#06x}",
             report->interface_info);
  for (const wire::TdispMmioRange& range : report->ranges) {
    TEEIO_CASE((range.attributes & 0xfff0U) == 0, "reserved attributes of range {}: {:#06x}",
               range.range_id, range.attributes);
    TEEIO_CASE(range.pages > 0, "range {} has no pages", range.range_id);
  }
  return passed();
}

Verdict report_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  return report_of(tdi);
}
Verdict report_running(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  return report_of(tdi);
}

Verdict report_portions(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  const auto whole = tdi.report();
  TEEIO_CASE(whole.has_value(), "{}", whole.error());
  const auto pieces = tdi.report(8);
  TEEIO_CASE(pieces.has_value(), "in portions of 8 bytes: {}", pieces.error());
  TEEIO_CASE(*whole == *pieces, "in portions of 8 bytes another report comes");
  return passed();
}

Verdict report_beyond(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  return refuses(tdi, wire::TdispGetInterfaceReport{.offset = 0xffff, .length = 0x10},
                 wire::TdispError::kInvalidRequest, TdiState::kConfigLocked);
}

Verdict report_unlocked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  return refuses(tdi, wire::TdispGetInterfaceReport{.offset = 0, .length = 0x10},
                 wire::TdispError::kInvalidInterfaceState, TdiState::kConfigUnlocked);
}

Verdict report_offset(Bench& bench) {
  constexpr std::uint64_t kOffset = 0x1'0000'0000;
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  const auto plain = tdi.report();
  TEEIO_CASE(plain.has_value(), "{}", plain.error());
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  const auto locked = tdi.ask(wire::TdispLockInterface{.default_stream_id = tdi.stream_id,
                                                       .mmio_reporting_offset = kOffset});
  TEEIO_CASE(locked && std::holds_alternative<wire::TdispLockInterfaceResponse>(*locked),
             "a lock with an offset of {:#x} is refused", kOffset);
  const auto shifted = tdi.report();
  TEEIO_CASE(shifted.has_value(), "{}", shifted.error());
  const auto before = wire::TdispReport::decode(*plain);
  const auto after = wire::TdispReport::decode(*shifted);
  TEEIO_CASE(before && after && before->ranges.size() == after->ranges.size(),
             "the reports list different ranges");
  for (std::size_t i = 0; i < before->ranges.size(); ++i)
    TEEIO_CASE(before->ranges[i].moved(kOffset) == after->ranges[i],
               "range {} was at page {:#x} and is at {:#x}, not at {:#x}", i,
               before->ranges[i].first_page, after->ranges[i].first_page,
               before->ranges[i].moved(kOffset).first_page);
  return passed();
}

// --- START and STOP -------------------------------------------------------------------

Verdict start_wrong_nonce(Bench& bench) {
  TdispNonce nonce{};
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi(&nonce));
  for (std::byte& byte : nonce) byte = ~byte;
  return refuses(tdi, wire::TdispStartInterface{nonce}, wire::TdispError::kInvalidNonce,
                 TdiState::kConfigLocked);
}

Verdict start_old_nonce(Bench& bench) {
  TdispNonce old{};
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi(&old));
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  const auto locked = tdi.lock();
  TEEIO_CASE(locked.has_value(), "{}", locked.error());
  return refuses(tdi, wire::TdispStartInterface{old}, wire::TdispError::kInvalidNonce,
                 TdiState::kConfigLocked);
}

Verdict start_unlocked(Bench& bench) {
  TdispNonce nonce{};
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi(&nonce));
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return refuses(tdi, wire::TdispStartInterface{nonce}, wire::TdispError::kInvalidInterfaceState,
                 TdiState::kConfigUnlocked);
}

Verdict start_running(Bench& bench) {
  TdispNonce nonce{};
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi(&nonce));
  return refuses(tdi, wire::TdispStartInterface{nonce}, wire::TdispError::kInvalidInterfaceState,
                 TdiState::kRun);
}

Verdict stop_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return is_in(tdi, TdiState::kConfigUnlocked);
}

Verdict stop_unlocked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return is_in(tdi, TdiState::kConfigUnlocked);
}

constexpr Case kTdispCases[] = {
    {"version", "GET_TDISP_VERSION is answered with 1.0 among the versions",
     "PCIe 11.3.4; tee-io-validator 1.1", version},
    {"capabilities", "GET_TDISP_CAPABILITIES lists the mandatory requests",
     "PCIe 11.3.6; tee-io-validator 2.1", capabilities},
    {"lock", "LOCK_INTERFACE with all announced flags locks an unlocked TDI",
     "PCIe 11.3.8; tee-io-validator 3.1", lock_all_flags},
    {"lock.keyless", "LOCK_INTERFACE gets INVALID_REQUEST when the stream has no keys",
     "PCIe 11.3.8; tee-io-validator 3.2", lock_without_keys},
    {"lock.locked", "LOCK_INTERFACE gets INVALID_INTERFACE_STATE in CONFIG_LOCKED",
     "PCIe 11.3.8; tee-io-validator 3.3", lock_locked},
    {"lock.running", "LOCK_INTERFACE gets INVALID_INTERFACE_STATE in RUN",
     "PCIe 11.3.8; tee-io-validator 3.4", lock_running},
    {"report.locked", "DEVICE_INTERFACE_REPORT comes in CONFIG_LOCKED",
     "PCIe 11.3.11; tee-io-validator 4.1, 4.5", report_locked},
    {"report.running", "DEVICE_INTERFACE_REPORT comes in RUN",
     "PCIe 11.3.11; tee-io-validator 4.2, 4.5", report_running},
    {"report.beyond", "An offset behind the report gets INVALID_REQUEST",
     "PCIe 11.3.10; tee-io-validator 4.3", report_beyond},
    {"report.unlocked", "GET_DEVICE_INTERFACE_REPORT gets INVALID_INTERFACE_STATE when unlocked",
     "PCIe 11.3.10; tee-io-validator 4.4", report_unlocked},
    {"state.unlocked", "An unlocked TDI says CONFIG_UNLOCKED", "PCIe 11.3.13; tee-io-validator 5.1",
     state_unlocked},
    {"state.locked", "A locked TDI says CONFIG_LOCKED", "PCIe 11.3.13; tee-io-validator 5.2",
     state_locked},
    {"state.running", "A started TDI says RUN", "PCIe 11.3.13; tee-io-validator 5.3, 6.1",
     state_run},
    {"state.stopped", "A stopped TDI says CONFIG_UNLOCKED",
     "PCIe 11.3.13; tee-io-validator 5.4, 7.1", state_after_stop},
    {"start.nonce", "START_INTERFACE with another nonce gets INVALID_NONCE, and the lock stays",
     "PCIe 11.3.14; tee-io-validator 6.2", start_wrong_nonce},
    {"start.unlocked", "START_INTERFACE gets INVALID_INTERFACE_STATE when unlocked",
     "PCIe 11.3.14; tee-io-validator 6.3", start_unlocked},
    {"start.running", "START_INTERFACE gets INVALID_INTERFACE_STATE in RUN",
     "PCIe 11.3.14; tee-io-validator 6.4", start_running},
    {"stop.locked", "STOP_INTERFACE unlocks a locked TDI", "PCIe 11.3.16; tee-io-validator 7.2",
     stop_locked},
    {"stop.unlocked", "STOP_INTERFACE of an unlocked TDI is answered",
     "PCIe 11.3.16; tee-io-validator 7.3", stop_unlocked},
    {"lock.nonces", "Each lock has a nonce of its own", "PCIe 11.3.9", lock_nonces_differ},
    {"lock.half", "LOCK_INTERFACE gets INVALID_REQUEST when keys are programmed and do not go",
     "PCIe 11.3.8", lock_with_half_the_keys},
    {"lock.stream", "LOCK_INTERFACE with a stream that does not exist gets INVALID_REQUEST",
     "PCIe 11.3.8", lock_unknown_stream},
    {"lock.flags", "LOCK_INTERFACE with reserved flags gets INVALID_REQUEST", "PCIe 11.3.8",
     lock_reserved_flags},
    {"report.portions", "Portions put together are the whole report", "PCIe 11.3.10",
     report_portions},
    {"report.offset", "The MMIO reporting offset is added to every range", "PCIe 11.3.11",
     report_offset},
    {"start.old", "The nonce of an earlier lock gets INVALID_NONCE", "PCIe 11.3.14",
     start_old_nonce},
};

std::vector<Case> all_tdisp() {
  std::vector<Case> all(std::begin(kTdispCases), std::end(kTdispCases));
  for (const auto more : {tdisp_report_cases(), tdisp_extra_cases()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

Verdict refuses(TdiUnderTest& tdi, const wire::TdispBody& request, wire::TdispError code,
                wire::TdiState state) {
  const auto error = tdi.error_to(request);
  TEEIO_CASE(error.has_value(), "{}", error.error());
  TEEIO_CASE(*error == std::to_underlying(code), "TDISP_ERROR {} came",
             wire::tdisp_error_name(*error));
  return is_in(tdi, state);
}

std::span<const Case> tdisp_cases() {
  static const std::vector<Case> all = all_tdisp();
  return all;
}

}  // namespace teeio::serve::validate
