// What is in DEVICE_INTERFACE_REPORT, beyond that it comes.

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "machine/tee_cards.h"
#include "serve/validate/tdisp_cases.h"

namespace teeio::serve::validate {
namespace {

using wire::TdispMmioRange;
using wire::TdispReport;

constexpr unsigned kMsixStructures = wire::kMmioMsixTable | wire::kMmioMsixPba;

/// What the TDI, locked or running, reports.
std::expected<TdispReport, Verdict> read_report(TdiUnderTest& tdi) {
  const auto bytes = tdi.report();
  if (!bytes) return std::unexpected(failed(bytes.error()));
  auto report = TdispReport::decode(*bytes);
  if (!report) return std::unexpected(failed(std::string(report.error().why)));
  return std::move(*report);
}

/// The same, of a TDI that was unlocked.
std::expected<TdispReport, Verdict> report_under(TdiUnderTest& tdi, std::uint16_t flags) {
  if (const auto locked = tdi.lock(flags); !locked)
    return std::unexpected(failed(fmt::format("flags {:#06x}: {}", flags, locked.error())));
  return read_report(tdi);
}

Verdict ranges_apart(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  TEEIO_CASE_ASSIGN(const TdispReport report, read_report(tdi));
  std::vector<TdispMmioRange> ranges = report.ranges;
  std::ranges::sort(ranges, {}, &TdispMmioRange::first_page);
  for (std::size_t i = 1; i < ranges.size(); ++i)
    TEEIO_CASE(ranges[i].first_page - ranges[i - 1].first_page >= ranges[i - 1].pages,
               "the range of {} pages at page {:#x} reaches into the one at {:#x}",
               ranges[i - 1].pages, ranges[i - 1].first_page, ranges[i].first_page);
  return passed();
}

Verdict locks_alike(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  TEEIO_CASE_ASSIGN(const TdispReport first, read_report(tdi));
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  TEEIO_CASE_ASSIGN(const TdispReport second, report_under(tdi, 0));
  TEEIO_CASE(first == second, "two locks of the same flags and offset have different reports");
  return passed();
}

/// A stopped TDI that announces the lock flag, or a skip.
std::expected<TdiUnderTest, Verdict> tdi_with_flag(Bench& bench, std::uint16_t flag,
                                                   std::string_view name) {
  auto tdi = bench.tdi();
  if (!tdi) return tdi;
  const auto flags = tdi->lock_flags();
  if (!flags) return std::unexpected(failed(flags.error()));
  if ((*flags & flag) == 0)
    return std::unexpected(skipped(fmt::format("{} is not among its lock flags", name)));
  return tdi;
}

Verdict msix_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, tdi_with_flag(bench, wire::kLockMsix, "LOCK_MSIX"));
  TEEIO_CASE_ASSIGN(const TdispReport report, report_under(tdi, wire::kLockMsix));
  for (const TdispMmioRange& range : report.ranges)
    TEEIO_CASE((range.attributes & kMsixStructures) == 0 ||
                   (range.attributes & wire::kMmioNonTeeMemory) == 0,
               "range {} has an MSI-X structure, and is non-TEE memory: attributes {:#06x}",
               range.range_id, range.attributes);
  return passed();
}

Verdict msix_unlocked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  TEEIO_CASE_ASSIGN(const TdispReport report, read_report(tdi));
  TEEIO_CASE(report.msix_message_control == 0, "MSI-X Message Control is {:#06x}",
             report.msix_message_control);
  return passed();
}

Verdict updates_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi,
                    tdi_with_flag(bench, wire::kLockNoFirmwareUpdate, "NO_FW_UPDATE"));
  TEEIO_CASE_ASSIGN(const TdispReport report, report_under(tdi, wire::kLockNoFirmwareUpdate));
  TEEIO_CASE((report.interface_info & wire::kInfoNoUpdateAfterLock) != 0,
             "INTERFACE_INFO is {:#06x}", report.interface_info);
  return passed();
}

// --- against a machine file -------------------------------------------------------------

/// The report that a machine file describes, at addresses of its own.
struct Described {
  TdispReport report;
  std::vector<std::uint8_t> bars;  ///< of its ranges
};

/// nullopt: it has no such TDI.
std::optional<Described> described(const machine::Config& machine, wire::TdispFunctionId id) {
  for (const machine::CardConfig& card : machine.cards) {
    if (!card.is_tee_io() || id.rid() < card.bdf.rid() || id.rid() > card.bdf.rid() + card.vfs)
      continue;
    const unsigned index = id.rid() - card.bdf.rid();
    const device::ReportOptions options = card.report_of(index);
    Described found{.report = {.interface_info = options.interface_info,
                               .lnr_control = options.lnr_control,
                               .tph_control = options.tph_control,
                               .ranges = {},
                               .device_info = options.device_info},
                    .bars = {}};
    object::Trace trace;
    const auto made = machine::make_tee_card(trace, card, {.storage = false});
    if (!made) return std::nullopt;
    const hw::PciFunction& function = *(*made)->functions().at(index);
    for (const device::MmioLayout::Part& part : (*made)->layout(index).parts()) {
      found.bars.push_back(part.bar);
      found.report.ranges.push_back(
          {(raw(function.bars().at(part.bar).base) + part.offset) >> TdispMmioRange::kPageShift,
           static_cast<std::uint32_t>(part.bytes / kPageSize), part.attributes, part.id});
    }
    return found;
  }
  return std::nullopt;
}

/// A host may have moved BARs: ranges are where the file has them within their BAR.
Verdict same_ranges(const std::vector<TdispMmioRange>& said, const Described& described) {
  const std::vector<TdispMmioRange>& wanted = described.report.ranges;
  std::size_t first = 0;  // of the BAR
  TEEIO_CASE(said.size() == wanted.size(), "it lists {} ranges, the machine file {}", said.size(),
             wanted.size());
  for (std::size_t i = 0; i < said.size(); ++i) {
    const bool msix = (wanted[i].attributes & kMsixStructures) != 0;
    const unsigned looked_at = msix ? ~unsigned{wire::kMmioNonTeeMemory} : ~0U;
    TEEIO_CASE(
        (said[i].attributes & looked_at) == wanted[i].attributes &&
            said[i].pages == wanted[i].pages && said[i].range_id == wanted[i].range_id,
        "range {} has id {}, {} pages and attributes {:#06x}, in the machine file {}, {} and "
        "{:#06x}",
        i, said[i].range_id, said[i].pages, said[i].attributes, wanted[i].range_id, wanted[i].pages,
        wanted[i].attributes);
    if (described.bars[i] != described.bars[first]) first = i;
    const std::uint64_t place = said[i].first_page - said[first].first_page;
    const std::uint64_t wanted_place = wanted[i].first_page - wanted[first].first_page;
    TEEIO_CASE(place == wanted_place,
               "range {} is {:#x} pages behind range {}, the first of its BAR, in the machine file "
               "{:#x}",
               i, place, first, wanted_place);
  }
  return passed();
}

Verdict as_described(Bench& bench) {
  if (bench.target().machine == nullptr) return skipped("no --machine says what to expect");
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  const auto expected = described(*bench.target().machine, tdi.function_id());
  TEEIO_CASE(expected, "the machine file has no TDI at requester ID {:#06x}",
             tdi.function_id().rid());
  const TdispReport* const wanted = &expected->report;
  TEEIO_CASE_ASSIGN(const TdispReport said, report_under(tdi, 0));
  TEEIO_CASE(said.interface_info == wanted->interface_info,
             "INTERFACE_INFO is {:#06x}, in the machine file {:#06x}", said.interface_info,
             wanted->interface_info);
  TEEIO_CASE(said.lnr_control == wanted->lnr_control,
             "LNR control is {:#06x}, in the machine file {:#06x}", said.lnr_control,
             wanted->lnr_control);
  TEEIO_CASE(said.tph_control == wanted->tph_control,
             "TPH control is {:#010x}, in the machine file {:#010x}", said.tph_control,
             wanted->tph_control);
  TEEIO_CASE(said.device_info == wanted->device_info,
             "the device-specific info of {} bytes is not that of the machine file, of {}",
             said.device_info.size(), wanted->device_info.size());
  return same_ranges(said.ranges, *expected);
}

constexpr Case kReportCases[] = {
    {"report.ranges", "The ranges of a report do not overlap", "PCIe 11.3.11", ranges_apart},
    {"report.again", "A lock with the same flags and offset has the same report", "PCIe 11.3.11",
     locks_alike},
    {"report.msix", "Under LOCK_MSIX the MSI-X table and PBA are TEE memory",
     "PCIe 11.3.8, 11.3.11", msix_locked},
    {"report.msix_free", "Without LOCK_MSIX MSI-X Message Control is zero", "PCIe 11.3.11",
     msix_unlocked},
    {"report.updates", "Under NO_FW_UPDATE the report says that there is none",
     "PCIe 11.3.8, 11.3.11", updates_locked},
    {"report.machine", "The report is as the machine file of --machine describes it",
     "PCIe 11.3.11", as_described},
};

}  // namespace

std::span<const Case> tdisp_report_cases() { return kReportCases; }

}  // namespace teeio::serve::validate
