// A confidential guest that takes a PCIe function into its trust and gives it
// back: what a guest kernel's TSM driver does, without the kernel.
#include <cstdint>

#include "evidence.h"
#include "platform.h"
#include "tdx.h"
#include "workload.h"

namespace {

// Has the VMM carry the request that firmware now holds, and takes the answer.
bool relay(std::uint32_t function, std::uint64_t code, std::uint64_t buffer, std::uint64_t& state) {
  return tdx::devif_request(function, code) == 0 &&
         tdx::vmcall(platform::kTdiRelay, function, code) == 0 &&
         tdx::devif_response(function, buffer, state) == 0;
}

// A TDISP interface report, read from the answer's page: 16 bytes of TDISP
// header, 4 of portion lengths, 16 of report header, then the MMIO ranges.
class Report {
 public:
  explicit Report(std::uint64_t page) : page_(page) {}
  std::uint32_t range_count() const { return at<std::uint32_t>(page_ + 32); }
  std::uint64_t address(std::uint32_t i) const { return at<std::uint64_t>(range(i)) * kPage; }
  std::uint32_t pages(std::uint32_t i) const { return at<std::uint32_t>(range(i) + 8); }
  std::uint32_t bar(std::uint32_t i) const { return at<std::uint32_t>(range(i) + 12) >> 16; }
  bool is_private(std::uint32_t i) const {
    constexpr std::uint32_t kMsixOrNonTee = 7;
    return (at<std::uint32_t>(range(i) + 12) & kMsixOrNonTee) == 0;
  }

 private:
  std::uint64_t range(std::uint32_t i) const { return page_ + 36 + 16ULL * i; }
  std::uint64_t page_;
};

// A driver accepts what it will touch, after it has seen that the whole range
// is where it should be.
constexpr std::uint64_t kBar0Used = kPage;
constexpr std::uint64_t kBar2Used = 2 * kPage;

void accept_range(const Report& report, std::uint32_t i, std::uint64_t gpa, std::uint64_t size,
                  std::uint64_t used) {
  require(report.pages(i) * kPage == size, kReportIsWrong);
  for (std::uint64_t offset = 0; offset < used; offset += kPage)
    require(tdx::mmio_accept(gpa + offset, report.address(i) + offset) == 0, kMmioNotAccepted);
}

// A fresh nonce, so that the device cannot show what it proved to somebody else.
// This guest has no other source: the counter tells two boots apart, no more.
void draw_nonce(unsigned char (&nonce)[32]) {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  const std::uint64_t seed[2] = {std::uint64_t{high} << 32 | low, 0x6e6f6e6365};
  const auto digest = sha384::of(reinterpret_cast<const unsigned char*>(seed), sizeof seed);
  for (unsigned i = 0; i < sizeof nonce; ++i) nonce[i] = digest.bytes[i];
}

// With the owner's root: what firmware has checked already, and whose device it is, which
// firmware cannot know.
void verify_signatures(const Evidence& evidence) {
  const volatile Board& board = at<Board>(shared(platform::kBoard));
  if ((board.flags & platform::kHasRoot) == 0) return;
  sha384::Digest root{};
  for (unsigned i = 0; i < sha384::kSize; ++i) root.bytes[i] = board.root[i];
  require(evidence.begins_with(root), kNotTheOwnersRoot);
  require(evidence.is_signed(), kEvidenceIsWrong);
  say("attest: signatures hold up to the owner's root");
}

// Evidence of the device, judged in the guest's own memory at `copy`: what it proved
// when it was connected, or with `fresh` what it proves now.
tdx::DeviceHash judge_evidence(std::uint32_t function, std::uint64_t copy, bool fresh) {
  unsigned char nonce[32];
  draw_nonce(nonce);
  for (std::uint64_t i = 0; i < sizeof nonce; ++i)
    at<unsigned char>(shared(platform::kEvidence + i)) = nonce[i];
  const std::uint64_t which = fresh ? platform::kFreshEvidence : platform::kKeptEvidence;
  require(tdx::vmcall(platform::kTdiEvidence, function, which) == 0, kNoEvidence);
  const std::uint64_t size = at<std::uint64_t>(shared(platform::kEvidence + sizeof nonce));
  require(size <= platform::kMostEvidence, kNoEvidence);
  constexpr std::uint64_t kBytes = sizeof(platform::EvidencePage);
  for (std::uint64_t i = 0; i < size; ++i)
    at<unsigned char>(copy + i) = at<unsigned char>(shared(platform::kEvidence + kBytes + i));

  const Evidence evidence(reinterpret_cast<const unsigned char*>(copy), size);
  require(evidence.well_formed() && evidence.names_its_root(), kEvidenceIsWrong);
  require(!fresh || evidence.is_fresh(nonce), kEvidenceIsOld);
  verify_signatures(evidence);
  const auto firmware =
      sha384::of(reinterpret_cast<const unsigned char*>(kFirmware), sizeof kFirmware - 1);
  require(evidence.has_measurement(firmware), kNotTheDevice);
  tdx::DeviceHash hash{};
  const sha384::Digest digest = evidence.digest();
  for (unsigned i = 0; i < sha384::kSize; ++i)
    hash.words[i / 8] |= std::uint64_t{digest.bytes[i]} << 8 * (i % 8);
  return hash;
}

// Firmware answers for the evidence that it had when the device was bound: what is
// collected later, by this guest or for another VM of the card, counts from the next
// bind on.
void attest(std::uint32_t function, std::uint64_t copy, bool fresh) {
  constexpr unsigned kTries = 3;
  for (unsigned tries = 0; tries < kTries; ++tries) {
    const tdx::DeviceHash hash = judge_evidence(function, copy, fresh);
    if (!fresh && tdx::devif_validate(function, hash) == 0)
      return say("attest: certificates and measurements are the device's");
    require(tdx::vmcall(platform::kTdiUnbind, function, 0) == 0, kUnbindRefused);
    require(tdx::vmcall(platform::kTdiBind, function, 0) == 0, kBindRefused);
    if (fresh && tdx::devif_validate(function, hash) == 0)
      return say("attest: certificates and fresh measurements are the device's");
  }
  finish(kNotTheDevice);
}

// Everything of this guest's IOMMUs: as often as a request may say it, which is more than an
// IOMMU's queue takes at once, and then with a status at the end of the page, which firmware
// writes when all of them are through. VT-d 6.5.2.3 and 6.5.2.8.
void invalidate_dma(std::uint64_t page) {
  constexpr std::uint64_t kIotlb = 2, kWholeDomain = 2U << 4U, kDrain = 3U << 6U;
  constexpr std::uint64_t kWait = 5, kStatusWrite = 1U << 5U, kDone = 0x600dU;
  constexpr unsigned kDescriptor = 4;  // words
  constexpr unsigned kMost = 128;      // descriptors: a page of them
  const std::uint64_t status = page + kPage - sizeof(std::uint64_t);
  volatile std::uint64_t* const words = &at<volatile std::uint64_t>(page);
  for (unsigned i = 0; i < kMost * kDescriptor; ++i)
    words[i] = i % kDescriptor == 0 ? kIotlb | kWholeDomain | kDrain : 0;
  require(tdx::iq_inv_request(kMost, page) == 0, kNotInvalidated);
  at<volatile std::uint32_t>(status) = 0;
  words[kDescriptor] = kWait | kStatusWrite | kDone << 32U;
  words[kDescriptor + 1] = status;
  require(tdx::iq_inv_request(2, page) == 0, kNotInvalidated);
  while (at<volatile std::uint32_t>(status) != kDone) {
  }
  say("accept: the IOMMU has nothing of before");
}

void accept_device(const Board& board, std::uint64_t report_page) {
  const std::uint32_t function = board.function_id;
  const bool fresh = (board.flags & platform::kWantsFresh) != 0;
  attest(function, report_page + 4 * kPage, fresh);
  std::uint64_t state = 0;
  require(relay(function, platform::kTdispGetReport, report_page, state), kNoReport);

  const Report report(report_page);
  bool bar0 = false;
  bool bar2 = false;
  constexpr std::uint32_t kMostRanges = 32;
  require(report.range_count() <= kMostRanges, kReportIsWrong);
  for (std::uint32_t i = 0; i < report.range_count(); ++i) {
    if (!report.is_private(i)) continue;
    if (report.bar(i) == 0) {
      accept_range(report, i, platform::kBar0, board.bar0_size, kBar0Used);
      bar0 = true;
    } else if (report.bar(i) == 2) {
      accept_range(report, i, platform::kBar2, board.bar2_size, kBar2Used);
      bar2 = true;
    }
  }
  require(bar0 && bar2, kReportIsWrong);
  say("accept: private MMIO as reported");
  require(tdx::dmar_accept(function) == 0, kDmaNotAccepted);
  say("accept: trusted DMA");
  if ((board.flags & platform::kInvalidatesDma) != 0) invalidate_dma(report_page);

  require(relay(function, platform::kTdispStart, report_page, state), kStartRefused);
  constexpr std::uint64_t kRun = 2;
  require(state == kRun, kNotRunning);
  say("start: the TDI runs");
}

// What a verifier of this guest asks for: something measured into an RTMR, here whatever is
// on the page, and a report that says so.
void report_itself(std::uint64_t page) {
  constexpr std::uint64_t kRtmr = 2;
  constexpr std::uint64_t kRtmrAt = 512 + 208 + kRtmr * sha384::kSize;  // in TDREPORT_STRUCT
  const std::uint64_t measured = page + kPage / 2;
  require(tdx::extend_rtmr(measured, kRtmr) == 0, kNoReportOfItself);
  require(tdx::make_report(page, page + 1024) == 0, kNoReportOfItself);
  require(tdx::verify_report(page) == 0, kNoReportOfItself);
  unsigned char both[2 * sha384::kSize];
  for (unsigned i = 0; i < sha384::kSize; ++i) {
    both[i] = 0;
    both[sha384::kSize + i] = at<unsigned char>(measured + i);
  }
  const sha384::Digest wanted = sha384::of(both, sizeof both);
  for (unsigned i = 0; i < sha384::kSize; ++i)
    require(at<unsigned char>(page + kRtmrAt + i) == wanted.bytes[i], kNoReportOfItself);
}

}  // namespace

extern "C" [[noreturn]] void guest_main(std::uint64_t board_gpa) {
  const volatile Board& page = at<Board>(shared(board_gpa));
  require(page.magic == Board::kMagic, kBoardIsWrong);
  // A copy: shared memory may change under our eyes.
  const Board board = {page.magic,     page.function_id, page.flags,
                       page.bar0_size, page.bar2_size,   {}};

  emulated::enable();
  require(emulated::read(dma::kId) == dma::kIdValue, kNoDevice);
  say("found a DMA engine");
  use_shared();

  // Eight fresh pages: the report; ring, source and destination; evidence.
  for (std::uint64_t i = 0; i < 8; ++i)
    require(tdx::accept_page(platform::kFreshRam + i * kPage) == 0, kPageNotAccepted);
  // Two pages become shared: one on request, one because it is used so.
  const std::uint64_t given = platform::kFreshRam + 8 * kPage;
  require(tdx::map_shared(given, kPage) == 0, kSharedTouch);
  for (std::uint64_t gpa = given; gpa < given + 2 * kPage; gpa += kPage) {
    at<std::uint64_t>(shared(gpa)) = gpa;
    require(at<std::uint64_t>(shared(gpa)) == gpa, kSharedTouch);
  }

  require(tdx::vmcall(platform::kTdiBind, board.function_id, 0) == 0, kBindRefused);
  accept_device(board, platform::kFreshRam);
  use_privately(platform::kFreshRam + kPage);
  host::port_out(platform::kPortCheckpoint, 4, 1);

  if ((board.flags & platform::kKeepBound) == 0) {
    require(tdx::vmcall(platform::kTdiUnbind, board.function_id, 0) == 0, kUnbindRefused);
    use_shared();
  }
  report_itself(platform::kFreshRam);
  say("done");
  finish(platform::kSuccess);
}
