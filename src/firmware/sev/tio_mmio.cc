#include <algorithm>

#include "firmware/sev/tio.h"
#include "firmware/sev/tio_messages.h"

// What a guest says about the MMIO of its TDIs.

namespace teeio::sev {
namespace {

using Range = wire::TdispMmioRange;

/// The BAR's first page as the report has it, and the pages that it lists of the BAR.
/// Source: sev-guest/tio.c, get_range(): offsets are from the BAR's lowest range.
std::vector<Range> ranges_of(const TdiContext& tdi, std::uint16_t range_id) {
  std::vector<Range> found;
  const auto report = wire::TdispReport::decode(tdi.report);
  if (!report) return found;
  for (const Range& range : report->ranges)
    if (range.range_id == range_id) found.push_back(range);
  std::ranges::sort(found, {}, &Range::first_page);
  return found;
}

bool listed(const std::vector<Range>& ranges, std::uint64_t page) {
  return std::ranges::any_of(ranges, [&](const Range& range) {
    return page >= range.first_page && page - range.first_page < range.pages;
  });
}

struct ValidateRequest {
  std::uint16_t id;
  Gpa base;
  std::uint32_t pages;
  std::uint32_t offset;  ///< bytes from the BAR's start
  std::uint16_t flags;
  std::uint16_t range_id;
};

ValidateRequest decode(ByteView payload) {
  Reader in(payload);
  ValidateRequest request{};
  request.id = in.le<std::uint16_t>();
  in.skip(14);
  request.base = Gpa{in.le<std::uint64_t>()};
  request.pages = in.le<std::uint32_t>();
  request.offset = in.le<std::uint32_t>();
  request.flags = in.le<std::uint16_t>();
  request.range_id = in.le<std::uint16_t>();
  return request;
}

/// The pages that a request means, or what is wrong with it. Reported addresses are the
/// host's: LOCK asks for no reporting offset (model's choice).
struct Pages {
  MmioValidateStatus status = MmioValidateStatus::kSuccess;
  std::vector<Hpa> pages{};
};
Pages pages_of(const TdiContext& tdi, const ValidateRequest& request) {
  const std::vector<Range> ranges = ranges_of(tdi, request.range_id);
  if (ranges.empty()) return {MmioValidateStatus::kNotReported};
  constexpr std::uint32_t kMaxPages = 1U << 20U;  // 4 GiB of one BAR
  if (!is_page_aligned(request.offset) || !is_page_aligned(raw(request.base)) ||
      request.pages == 0 || request.pages > kMaxPages)
    return {MmioValidateStatus::kOutOfRange};
  Pages found;
  const std::uint64_t first = ranges.front().first_page + (request.offset >> kPageShift);
  for (std::uint64_t page = first; page < first + request.pages; ++page) {
    if (!listed(ranges, page)) return {MmioValidateStatus::kOutOfRange};
    found.pages.push_back(Hpa{page << kPageShift});
  }
  return found;
}

MmioValidateStatus page_fault(Platform& psp, const TdiContext& tdi, Hpa page, Gpa gpa) {
  const RmpEntry entry = psp.rmp().entry(page);
  if (!entry.assigned || entry.asid != tdi.asid) return MmioValidateStatus::kNotAssigned;
  if (!psp.memory().is_mmio(page)) return MmioValidateStatus::kNotIo;
  if (entry.size != RmpSize::k4K) return MmioValidateStatus::kNot4K;
  if (entry.gpa != gpa) return MmioValidateStatus::kNotMapped;
  return MmioValidateStatus::kSuccess;
}

MmioValidateStatus validate(Platform& psp, const TdiContext& tdi, const ValidateRequest& request,
                            bool& changed) {
  const Pages found = pages_of(tdi, request);
  if (found.status != MmioValidateStatus::kSuccess) return found.status;
  const bool wanted = (request.flags & kValidated) != 0;
  std::size_t validated = 0;
  for (std::size_t n = 0; n < found.pages.size(); ++n) {
    const auto fault = page_fault(psp, tdi, found.pages[n], request.base + n * kPageSize);
    if (fault != MmioValidateStatus::kSuccess) return fault;
    if (psp.rmp().entry(found.pages[n]).validated) ++validated;
  }
  const bool uniform = validated == 0 || validated == found.pages.size();
  if (!uniform && (request.flags & kForceValidated) == 0) return MmioValidateStatus::kNotUniform;
  changed = validated != (wanted ? found.pages.size() : 0);
  for (const Hpa page : found.pages) psp.rmp().set_validated(page, wanted);
  return MmioValidateStatus::kSuccess;
}

}  // namespace

/// struct tio_msg_mmio_validate_rsp. All of the pages, or none.
Bytes Tio::mmio_validate_answer(TioCall& c) {
  const ValidateRequest request = decode(c.message->payload);
  auto status = static_cast<MmioValidateStatus>(tdi_fault(c, request.id));
  bool changed = false;
  if (status == MmioValidateStatus::kSuccess) status = validate(psp_, *c.tdi, request, changed);
  return Writer()
      .le(request.id)
      .le(static_cast<std::uint16_t>(status))
      .zeros(12)
      .le(raw(request.base))
      .le(request.pages)
      .le(request.offset)
      .le(static_cast<std::uint16_t>(changed ? 1 : 0))
      .le(request.range_id)
      .zeros(12)
      .take();
}

/// struct tio_msg_mmio_config_{req,rsp}: reads a range's attributes, or has the device change
/// the one that may be. Source: AMDESE/linux-kvm, sev-guest's mmio_config_get() and _set().
Status Tio::mmio_config(TioCall& c) {
  Reader in(c.message->payload);
  const auto id = in.le<std::uint16_t>();
  in.skip(2);
  const auto word = in.le<std::uint32_t>();
  const bool write = (in.le<std::uint32_t>() & 1U) != 0;
  const auto range_id = static_cast<std::uint16_t>(word >> 16U);
  const auto attributes = static_cast<std::uint16_t>(word & wire::kMmioNonTeeMemory);
  const auto answer = [this, id, range_id, write](TioCall& call, MmioConfigStatus status,
                                                  std::uint16_t now) {
    return answer_guest(call, Writer()
                                  .le(id)
                                  .le(static_cast<std::uint16_t>(status))
                                  .le(static_cast<std::uint32_t>(range_id) << 16U | now)
                                  .le(std::uint32_t{write})
                                  .zeros(4)
                                  .take());
  };
  if (const std::uint16_t fault = tdi_fault(c, id); fault != 0)
    return answer(c, static_cast<MmioConfigStatus>(fault), 0);
  const std::vector<Range> ranges = ranges_of(*c.tdi, range_id);
  if (ranges.empty()) return answer(c, MmioConfigStatus::kNotReported, 0);
  const std::uint16_t before = ranges.front().attributes;
  if (!write) return answer(c, MmioConfigStatus::kSuccess, before);
  if ((before & wire::kMmioAttributeUpdatable) == 0)
    return answer(c, MmioConfigStatus::kCouldNotChange, before);
  Range wanted = ranges.front();
  wanted.attributes = attributes;
  std::deque<Exchange> script;
  script.push_back(tdisp(c.tdi->function, wire::TdispSetMmioAttribute{wanted},
                         [](const wire::TdispBody& body) -> Result<void> {
                           if (std::holds_alternative<wire::TdispSetMmioAttributeResponse>(body))
                             return {};
                           return fail(Errno::kIo, "the device changes no attribute");
                         }));
  return begin(
      c, Conversation(std::move(script)),
      [answer, before, attributes, message = *c.message](TioCall& call, const Result<void>& how) {
        call.message = message;
        const std::uint16_t after =
            how ? static_cast<std::uint16_t>((before & ~wire::kMmioNonTeeMemory) | attributes)
                : before;
        return answer(call, how ? MmioConfigStatus::kSuccess : MmioConfigStatus::kCouldNotChange,
                      after);
      });
}

}  // namespace teeio::sev
