// The interface report, and what the guest's firmware vouched for.
#include <fmt/format.h>

#include <algorithm>

#include "crypto/hash.h"
#include "evidence/clauses.h"

namespace teeio::evidence {
namespace {

void judge_ranges(const Case& c, const wire::TdispReport& report, Clauses& out) {
  for (const WantedRange& wanted : c.policy.ranges) {
    const std::string id = fmt::format("report.range.{}", wanted.id);
    std::uint64_t pages = 0;
    bool found = false;
    for (const wire::TdispMmioRange& range : report.ranges) {
      if (range.range_id != wanted.id) continue;
      found = true;
      pages += range.pages;
    }
    const bool fits = found && (!wanted.pages || *wanted.pages == pages);
    out.decide(
        id, fits,
        found ? fmt::format("{} pages are reported", pages) : "the report has no such range");
  }
}

void judge_memory(const Case& c, const wire::TdispReport& report, Clauses& out) {
  if (c.policy.allow_non_tee_memory)
    return out.skip("report.memory", "the policy allows memory outside of the TEE");
  // An MSI-X table stays the host's unless LOCK_INTERFACE asked for it.
  constexpr unsigned kMsix = wire::kMmioMsixTable | wire::kMmioMsixPba;
  for (const wire::TdispMmioRange& range : report.ranges)
    if ((range.attributes & wire::kMmioNonTeeMemory) != 0 && (range.attributes & kMsix) == 0)
      return out.refuse("report.memory",
                        fmt::format("range {} answers accesses of the host", range.range_id));
  out.hold("report.memory",
           fmt::format("{} ranges, none but MSI-X tables open to the host", report.ranges.size()));
}

void judge_digest(std::string id, const Case& c, const std::optional<Bytes>& given,
                  ByteView of_the_file, ByteView object, Clauses& out) {
  const auto is_of_it = [object](ByteView digest) {
    return std::ranges::equal(crypto::hash(crypto::HashAlgorithm::kSha384, object).view(), digest);
  };
  // Whoever wrote the file wrote down what speaks against it: no policy is needed for that.
  if (!of_the_file.empty() && !is_of_it(of_the_file))
    return out.refuse(std::move(id), "by the file's own record firmware vouched for other bytes");
  if (!given && (of_the_file.empty() || !c.policy.trust_digests_of_file)) {
    constexpr std::string_view kNothing =
        "no digest from the guest's firmware: this may be of another device";
    if (c.policy.binding_required) return out.refuse(std::move(id), std::string(kNothing));
    return out.skip(std::move(id), std::string(kNothing));
  }
  const bool same = !given || is_of_it(*given);
  out.decide(std::move(id), same,
             same ? "firmware vouched for these bytes" : "firmware vouched for other bytes");
}

}  // namespace

void judge_report(const Case& c, Clauses& out) {
  const Statement& s = c.statement;
  if (s.bundle.report.empty()) {
    if (c.policy.wants_report()) return out.refuse("report.form", "there is no interface report");
    return out.skip("report.form", "there is no interface report, and none is wanted");
  }
  if (!s.report) return out.refuse("report.form", s.report_problem);
  out.hold("report.form", fmt::format("an interface report of {} bytes", s.bundle.report.size()));
  judge_memory(c, *s.report, out);
  judge_ranges(c, *s.report, out);
  if (!c.policy.no_update_after_lock) return;
  const bool kept = (s.report->interface_info & wire::kInfoNoUpdateAfterLock) != 0;
  out.decide("report.update", kept,
             kept ? "firmware cannot be updated while locked"
                  : "the device may update its firmware while locked");
}

void judge_binding(const Case& c, Clauses& out) {
  const Bundle& bundle = c.statement.bundle;
  judge_digest("binding.evidence", c, c.now.evidence_digest, bundle.evidence_digest, bundle.object,
               out);
  const bool wanted = c.policy.wants_report() || c.now.report_digest;
  if (bundle.report.empty() && !wanted) return;
  judge_digest("binding.report", c, c.now.report_digest, bundle.report_digest, bundle.report, out);
}

}  // namespace teeio::evidence
