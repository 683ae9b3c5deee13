// The measurement extension log of SPDM 1.3.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "serve/validate/bench.h"
#include "serve/validate/spdm_cases.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_error.h"
#include "wire/spdm_measurements.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

/// A connection to a responder with MEL_CAP.
std::expected<Link, Verdict> logging(Bench& bench) {
  auto link = bench.negotiated();
  if (link && !has_flag(*link, wire::kSpdmCapMel))
    return std::unexpected(skipped("MEL_CAP is not offered"));
  return link;
}

/// The log's entries; they refer to the link's bytes.
std::expected<std::vector<wire::SpdmMelEntry>, Verdict> read_log(Link& link) {
  link.requester().get_extension_log();
  const Reply reply = link.run();
  if (reply.too_large)
    return std::unexpected(
        skipped(fmt::format("this judge cannot read the responder's log: {}", reply.why)));
  if (!reply.answered()) return std::unexpected(failed(fmt::format("{} came", reply.str())));
  const ByteView log = link.requester().extension_log();
  const auto header = wire::SpdmMelHeader::decode(log);
  if (!header)
    return std::unexpected(
        failed(fmt::format("the log of {} bytes: {}", log.size(), header.error().why)));
  std::vector<wire::SpdmMelEntry> entries;
  for (ByteView rest = log.subspan(wire::SpdmMelHeader::kSize); !rest.empty();) {
    const auto entry = wire::SpdmMelEntry::take(rest);
    if (!entry)
      return std::unexpected(
          failed(fmt::format("entry {}: {}", entries.size() + 1, entry.error().why)));
    entries.push_back(*entry);
  }
  if (entries.size() != header->entries)
    return std::unexpected(failed(
        fmt::format("{} entries are announced and {} are there", header->entries, entries.size())));
  return entries;
}

Verdict log_read(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, logging(bench));
  TEEIO_CASE_ASSIGN(const auto entries, read_log(link));
  std::set<std::uint32_t> indices;
  for (const wire::SpdmMelEntry& entry : entries)
    TEEIO_CASE(indices.insert(entry.mel_index).second, "two entries have the index {}",
               entry.mel_index);
  return passed();
}

Verdict log_grows_only(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, logging(bench));
  TEEIO_CASE_ASSIGN(const auto first, read_log(link));
  const ByteView view = link.requester().extension_log();
  const Bytes before(view.begin() + wire::SpdmMelHeader::kSize, view.end());
  TEEIO_CASE_ASSIGN(const auto second, read_log(link));
  const ByteView after = link.requester().extension_log().subspan(wire::SpdmMelHeader::kSize);
  TEEIO_CASE(second.size() >= first.size() && after.size() >= before.size() &&
                 std::ranges::equal(after.first(before.size()), before),
             "the log of {} entries, read again, does not begin with them", first.size());
  return passed();
}

Verdict log_portion(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, logging(bench));
  constexpr std::uint32_t kWanted = 4;
  const Reply reply = link.raw(wire::SpdmGetMeasurementExtensionLog{
      .version = bench.version(), .offset = 0, .length = kWanted}
                                   .encode());
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto answer = wire::SpdmMeasurementExtensionLog::decode(reply.bytes);
  TEEIO_CASE(answer.has_value(), "{}", answer.error().why);
  const std::size_t came = answer->portion.size();
  TEEIO_CASE(came > 0 && came <= kWanted, "{} bytes came for {} wanted", came, kWanted);
  TEEIO_CASE(answer->remainder + came >= wire::SpdmMelHeader::kSize,
             "a log of {} bytes is shorter than its header", answer->remainder + came);
  return passed();
}

Verdict log_offset(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, logging(bench));
  const Reply reply = link.raw(wire::SpdmGetMeasurementExtensionLog{
      .version = bench.version(), .offset = 0xffff'ff00, .length = 16}
                                   .encode());
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kInvalidRequest), "{} came", reply.str());
  return passed();
}

Verdict log_not_offered(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  if (has_flag(link, wire::kSpdmCapMel)) return skipped("MEL_CAP is offered");
  const Reply reply = link.raw(
      wire::SpdmGetMeasurementExtensionLog{.version = bench.version(), .offset = 0, .length = 16}
          .encode());
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kUnsupportedRequest), "{} came", reply.str());
  return passed();
}

constexpr std::string_view kClause = "DSP0274 1.3, MEASUREMENT_EXTENSION_LOG";
constexpr Case kLogCases[] = {
    {"log.entries", "The extension log has as many entries as it says, each with its own index",
     kClause, log_read, wire::kSpdmVersion13},
    {"log.grows", "The log, read again, begins as before", kClause, log_grows_only,
     wire::kSpdmVersion13},
    {"log.portion", "Of the log there comes something, and no more than was wanted", kClause,
     log_portion, wire::kSpdmVersion13},
    {"log.offset", "An offset behind the log gets InvalidRequest", kClause, log_offset,
     wire::kSpdmVersion13},
    {"log.absent", "Without MEL_CAP asking for the log gets UnsupportedRequest", kClause,
     log_not_offered, wire::kSpdmVersion13},
};

}  // namespace

std::span<const Case> spdm_log_cases() { return kLogCases; }

}  // namespace teeio::serve::validate
