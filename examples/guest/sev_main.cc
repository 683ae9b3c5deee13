// An SNP guest that takes a PCIe function into its trust and gives it back, in the order of
// Linux's sev-guest as posted: bind, look at what firmware answers for, run, turn DMA on,
// validate MMIO.
#include <cstdint>

#include "platform.h"
#include "sev.h"
#include "sha384.h"
#include "workload.h"

namespace {

// Pages of the guest's own that the guest has validated: blobs are judged there, since what
// is shared may change under our eyes.
constexpr std::uint64_t kCopy = platform::kFreshRam;
constexpr std::uint64_t kCopyPages = 10;
constexpr std::uint64_t kRing = kCopy + kCopyPages * kPage;

bool is_digest(const unsigned char* text, std::uint64_t size, const unsigned char (&digest)[48]) {
  const sha384::Digest made = sha384::of(text, size);
  for (unsigned i = 0; i < sha384::kSize; ++i)
    if (made.bytes[i] != digest[i]) return false;
  return true;
}

// Copies a blob behind the last one, and holds it against firmware's digest.
const unsigned char* trusted_copy(sev::Blob which, const unsigned char (&digest)[48],
                                  std::uint64_t& used, std::uint64_t& size) {
  const sev::Found found = sev::find_blob(which);
  require(found.size != 0 && found.size <= kCopyPages * kPage - used, kNoEvidence);
  auto* const copy = reinterpret_cast<unsigned char*>(kCopy + used);
  for (std::uint64_t i = 0; i < found.size; ++i) copy[i] = at<unsigned char>(shared(found.gpa + i));
  require(is_digest(copy, found.size, digest), kEvidenceIsWrong);
  used += found.size;
  size = found.size;
  return copy;
}

bool contains(const unsigned char* text, std::uint64_t size, const sha384::Digest& wanted) {
  for (std::uint64_t start = 0; start + sha384::kSize <= size; ++start) {
    bool same = true;
    for (unsigned i = 0; i < sha384::kSize; ++i) same = same && text[start + i] == wanted.bytes[i];
    if (same) return true;
  }
  return false;
}

// A TDISP interface report: 16 bytes, the count of ranges in the last four; 16 bytes a range.
struct Report {
  const unsigned char* bytes;
  std::uint64_t size;

  std::uint32_t word(std::uint64_t offset) const {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value |= std::uint32_t{bytes[offset + i]} << 8 * i;
    return value;
  }
  std::uint32_t ranges() const { return size >= 16 ? word(12) : 0; }
  bool has(std::uint32_t i) const { return 16 + 16 * (std::uint64_t{i} + 1) <= size; }
  std::uint32_t pages(std::uint32_t i) const { return word(16 + 16 * i + 8); }
  std::uint32_t attributes(std::uint32_t i) const { return word(16 + 16 * i + 12) & 0xffff; }
  std::uint16_t id(std::uint32_t i) const {
    return static_cast<std::uint16_t>(word(16 + 16 * i + 12) >> 16);
  }
};

void validate_mmio(const Board& board, const Report& report) {
  constexpr std::uint32_t kMsixOrNonTee = 7;
  bool bar0 = false;
  bool bar2 = false;
  for (std::uint32_t i = 0; i < report.ranges() && i < 32; ++i) {
    require(report.has(i), kReportIsWrong);
    if ((report.attributes(i) & kMsixOrNonTee) != 0) continue;
    const bool first = report.id(i) == 0;
    if (!first && report.id(i) != 2) continue;
    const std::uint64_t size = first ? board.bar0_size : board.bar2_size;
    require(report.pages(i) * kPage == size, kReportIsWrong);
    require(sev::mmio_validate(board.function_id, report.id(i),
                               first ? platform::kBar0 : platform::kBar2, 0, report.pages(i),
                               true) == 0,
            kMmioNotAccepted);
    (first ? bar0 : bar2) = true;
  }
  require(bar0 && bar2, kReportIsWrong);
}

void take_device(const Board& board) {
  require(sev::tio_op(board.function_id, sev::Op::kBind) == 0, kBindRefused);
  sev::TdiInfo info{};
  require(sev::tdi_info(board.function_id, true, info), kNoReport);
  require(info.status == 0 && info.id == board.function_id, kNotTheDevice);
  std::uint64_t used = 0;
  std::uint64_t size = 0;
  trusted_copy(sev::Blob::kCertificates, info.certificates, used, size);
  require((info.measured & 1) != 0, kNoEvidence);
  if ((board.flags & platform::kWantsFresh) != 0) {
    require((info.measured & 2) != 0, kEvidenceIsOld);
    say("attest: fresh measurements are the device's");
  }
  const unsigned char* const measurements =
      trusted_copy(sev::Blob::kMeasurements, info.measurements, used, size);
  const auto firmware =
      sha384::of(reinterpret_cast<const unsigned char*>(kFirmware), sizeof kFirmware - 1);
  require(contains(measurements, size, firmware), kNotTheDevice);
  const unsigned char* const report = trusted_copy(sev::Blob::kReport, info.report, used, size);
  say("attest: certificates, measurements and report are those that firmware answers for");

  require(sev::tio_op(board.function_id, sev::Op::kRun) == 0, kStartRefused);
  say("start: the TDI runs");
  require(sev::sdte_write(board.function_id, true) == 0, kDmaNotAccepted);
  say("accept: trusted DMA");
  validate_mmio(board, {report, size});
  say("accept: private MMIO as reported");
}

void give_back(const Board& board) {
  require(sev::sdte_write(board.function_id, false) == 0, kUnbindRefused);
  require(sev::tio_op(board.function_id, sev::Op::kUnbind) == 0, kUnbindRefused);
}

}  // namespace

extern "C" [[noreturn]] void guest_main(std::uint64_t board_gpa) {
  sev::start();
  const volatile Board& page = at<Board>(shared(board_gpa));
  require(page.magic == Board::kMagic, kBoardIsWrong);
  // A copy: shared memory may change under our eyes.
  const Board board = {page.magic,     page.function_id, page.flags,
                       page.bar0_size, page.bar2_size,   {}};

  emulated::enable();
  require(emulated::read(dma::kId) == dma::kIdValue, kNoDevice);
  say("found a DMA engine");
  use_shared();

  for (std::uint64_t i = 0; i < kCopyPages + 4; ++i)
    require(sev::validate_page(kCopy + i * kPage, true) == 0, kPageNotAccepted);
  const std::uint64_t given = kCopy + (kCopyPages + 3) * kPage;
  require(sev::map_shared(given), kSharedTouch);
  at<std::uint64_t>(shared(given)) = given;
  require(at<std::uint64_t>(shared(given)) == given, kSharedTouch);
  say("memory is validated, and given back");

  if ((board.flags & platform::kSharedOnly) == 0) {
    take_device(board);
    use_privately(kRing);
    host::port_out(platform::kPortCheckpoint, 4, 1);
    if ((board.flags & platform::kKeepBound) == 0) {
      give_back(board);
      use_shared();
    }
  }
  say("done");
  finish(platform::kSuccess);
}
