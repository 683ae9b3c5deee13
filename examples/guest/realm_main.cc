// A realm that takes a PCIe function into its trust and gives it back, in the order of
// Linux's arm-cca-guest as posted: lock, look at what the monitor answers for, validate MMIO,
// start, turn DMA on.
#include <cstdint>

#include "evidence.h"
#include "platform.h"
#include "realm.h"
#include "sha384.h"
#include "workload.h"

namespace {

// The realm's own pages: what the device proves is judged there, since what is shared may
// change under our eyes.
constexpr std::uint64_t kCopy = platform::kFreshRam;
constexpr std::uint64_t kCopyPages = 10;
constexpr std::uint64_t kRing = kCopy + kCopyPages * kPage;
constexpr std::uint64_t kBundle = kRing + 4 * kPage;  // the evidence, put together
constexpr std::uint64_t kBundlePages = 10;
constexpr std::uint64_t kGiven = kBundle + kBundlePages * kPage;  // becomes shared
constexpr std::uint64_t kFreshEnd = kGiven + kPage;

// Shared: the parameters of a request, and objects that the host brings.
constexpr std::uint64_t kParameters = platform::kRequest;
constexpr std::uint64_t kBuffer = platform::kBlobs;
constexpr std::uint64_t kBufferBytes = platform::kBlobPages * kPage;

// A driver validates what it will touch.
constexpr std::uint64_t kBar0Used = kPage;
constexpr std::uint64_t kBar2Used = 2 * kPage;

struct Bytes {
  const unsigned char* at;
  std::uint64_t size;

  bool is(const unsigned char (&digest)[64]) const {
    const sha512::Digest made = sha512::of(at, size);
    for (unsigned i = 0; i < sha512::kSize; ++i)
      if (made.bytes[i] != digest[i]) return false;
    return true;
  }
  bool contains(const unsigned char* what, std::uint64_t length) const {
    for (std::uint64_t start = 0; start + length <= size; ++start) {
      std::uint64_t same = 0;
      while (same < length && at[start + same] == what[same]) ++same;
      if (same == length) return true;
    }
    return false;
  }
};

struct Objects {
  Bytes vca, certificates, measurements, report;
};

// Copies an object behind the last one.
Bytes fetch(std::uint64_t device, rhi::Object object, std::uint64_t& used) {
  std::uint64_t size = 0;
  require(rhi::object_size(device, object, size) == 0, kNoEvidence);
  require(size != 0 && size <= kBufferBytes && size <= kCopyPages * kPage - used, kNoEvidence);
  require(rhi::object_read(device, object, size, kBuffer) == 0, kNoEvidence);
  auto* const copy = reinterpret_cast<unsigned char*>(kCopy + used);
  for (std::uint64_t i = 0; i < size; ++i) copy[i] = at<unsigned char>(shared(kBuffer + i));
  used += size;
  return {copy, size};
}

// A fresh nonce, so that the device cannot show what it proved to somebody else. This guest
// has no other source: the counter tells two boots apart, no more.
void draw_nonce(unsigned char (&nonce)[32]) {
  std::uint64_t count = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(count));
  const std::uint64_t seed[2] = {count, 0x6e6f6e6365};
  const auto digest = sha512::of(reinterpret_cast<const unsigned char*>(seed), sizeof seed);
  for (unsigned i = 0; i < sizeof nonce; ++i) nonce[i] = digest.bytes[i];
}

void have_measured(std::uint64_t device, const unsigned char (&nonce)[32]) {
  volatile auto& parameters = at<rhi::MeasureParameters>(shared(kParameters));
  parameters.flags = 0;
  for (unsigned i = 0; i < sizeof nonce; ++i) parameters.nonce[i] = nonce[i];
  require(rhi::get_measurements(device, kParameters) == 0, kNoEvidence);
}

class Writer {
 public:
  explicit Writer(std::uint64_t to) : to_(reinterpret_cast<unsigned char*>(to)) {}
  void bytes(const unsigned char* from, std::uint64_t size) {
    require(size_ + size <= kBundlePages * kPage, kNoEvidence);
    for (std::uint64_t i = 0; i < size; ++i) to_[size_ + i] = from[i];
    size_ += size;
  }
  void number(std::uint64_t value, unsigned size) {
    unsigned char little[8];
    for (unsigned i = 0; i < size; ++i) little[i] = static_cast<unsigned char>(value >> 8 * i);
    bytes(little, size);
  }
  std::uint64_t size() const { return size_; }

 private:
  unsigned char* const to_;
  std::uint64_t size_ = 0;
};

// With the owner's root: whose device it is, which the monitor does not know, and that it has
// signed what it measured. The parts are put together as evidence.h has them.
void verify_signatures(const Objects& objects, const unsigned char (&nonce)[32]) {
  const volatile Board& board = at<Board>(shared(platform::kBoard));
  if ((board.flags & platform::kHasRoot) == 0) return;
  constexpr std::uint64_t kSignature = 96;  // P-384
  require(objects.certificates.size > 4 && objects.measurements.size > kSignature, kNoEvidence);
  sha384::Digest root{};
  for (unsigned i = 0; i < sha384::kSize; ++i) root.bytes[i] = board.root[i];
  const unsigned char* const first = objects.certificates.at;
  const std::uint64_t length = 4 + (std::uint64_t{first[2]} << 8 | first[3]);
  require(length <= objects.certificates.size, kEvidenceIsWrong);
  const sha384::Digest named = sha384::of(first, length);

  const std::uint64_t chain = 4 + sha384::kSize + objects.certificates.size;
  const std::uint64_t measured = objects.measurements.size - kSignature;
  Writer out(kBundle);
  out.number(chain, 4);
  out.number(objects.vca.size + measured, 4);
  out.number(kSignature, 4);
  out.number(0, 4);
  out.bytes(nonce, sizeof nonce);
  out.number(chain, 2);
  out.number(0, 2);
  out.bytes(named.bytes, sha384::kSize);
  out.bytes(first, objects.certificates.size);
  out.bytes(objects.vca.at, objects.vca.size);
  out.bytes(objects.measurements.at, measured);
  out.bytes(objects.measurements.at + measured, kSignature);
  const Evidence evidence(reinterpret_cast<const unsigned char*>(kBundle), out.size());
  require(evidence.well_formed() && evidence.names_its_root(), kEvidenceIsWrong);
  require(evidence.begins_with(root), kNotTheOwnersRoot);
  require(evidence.is_signed(), kEvidenceIsWrong);
  say("attest: signatures hold up to the owner's root");
}

// What the host brings is what the monitor has digests of.
Objects attest(std::uint64_t device, rsi::DeviceInfo& info) {
  unsigned char nonce[32];
  draw_nonce(nonce);
  have_measured(device, nonce);
  require(rhi::get_report(device) == 0, kNoReport);
  require(rsi::device_info(device, info) == 0 && info.state == rsi::kLocked, kNotTheDevice);
  require(info.hash == 1, kNoEvidence);
  std::uint64_t used = 0;
  Objects objects{};
  objects.vca = fetch(device, rhi::Object::kVca, used);
  objects.certificates = fetch(device, rhi::Object::kCertificates, used);
  objects.measurements = fetch(device, rhi::Object::kMeasurements, used);
  objects.report = fetch(device, rhi::Object::kReport, used);
  require(objects.vca.is(info.vca) && objects.certificates.is(info.certificate) &&
              objects.measurements.is(info.measurements) && objects.report.is(info.report),
          kEvidenceIsWrong);
  require(objects.measurements.contains(nonce, sizeof nonce), kEvidenceIsOld);
  verify_signatures(objects, nonce);
  const auto firmware =
      sha384::of(reinterpret_cast<const unsigned char*>(kFirmware), sizeof kFirmware - 1);
  require(objects.measurements.contains(firmware.bytes, sha384::kSize), kNotTheDevice);
  say("attest: certificates, fresh measurements and report are those of the monitor");
  return objects;
}

// A TDISP interface report: 16 bytes, the count of ranges in the last four; 16 bytes a range.
class Report {
 public:
  explicit Report(const Bytes& bytes) : bytes_(bytes) {}
  std::uint32_t ranges() const { return bytes_.size >= 16 ? word(12) : 0; }
  bool has(std::uint32_t i) const { return 16 + 16 * (std::uint64_t{i} + 1) <= bytes_.size; }
  std::uint64_t address(std::uint32_t i) const {
    return (std::uint64_t{word(at(i) + 4)} << 32 | word(at(i))) * kPage;
  }
  std::uint32_t pages(std::uint32_t i) const { return word(at(i) + 8); }
  bool is_private(std::uint32_t i) const {
    constexpr std::uint32_t kMsixOrNonTee = 7;
    return (word(at(i) + 12) & kMsixOrNonTee) == 0;
  }
  std::uint32_t bar(std::uint32_t i) const { return word(at(i) + 12) >> 16; }

 private:
  static std::uint64_t at(std::uint32_t i) { return 16 + 16 * std::uint64_t{i}; }
  std::uint32_t word(std::uint64_t offset) const {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value |= std::uint32_t{bytes_.at[offset + i]} << 8 * i;
    return value;
  }
  const Bytes& bytes_;
};

void accept_mmio(const Board& board, const Report& report, const rsi::DeviceInfo& info) {
  bool bar0 = false;
  bool bar2 = false;
  for (std::uint32_t i = 0; i < report.ranges() && i < 32; ++i) {
    require(report.has(i), kReportIsWrong);
    const bool first = report.bar(i) == 0;
    if (!report.is_private(i) || (!first && report.bar(i) != 2)) continue;
    require(report.pages(i) * kPage == (first ? board.bar0_size : board.bar2_size), kReportIsWrong);
    require(rsi::validate_mapping(board.function_id, first ? platform::kBar0 : platform::kBar2,
                                  first ? kBar0Used : kBar2Used, report.address(i), info) == 0,
            kMmioNotAccepted);
    (first ? bar0 : bar2) = true;
  }
  require(bar0 && bar2, kReportIsWrong);
  say("accept: private MMIO as reported");
}

std::uint64_t offered = 0;  // RHI_DA_FEATURES

// What a host has only begun can be taken back, once.
void change_its_mind(std::uint64_t device) {
  if ((offered & rhi::kContinueAndAbort) != rhi::kContinueAndAbort) return;
  std::uint64_t handle = 0;
  std::uint64_t second = 0;
  require(rhi::begin_state(device, rhi::State::kLocked, handle), kBindRefused);
  require(!rhi::begin_state(device, rhi::State::kLocked, second), kBindRefused);
  require(rhi::abort(device) == 0 && rhi::abort(device) != 0, kBindRefused);
  require(rhi::go_on(device, handle) != 0, kBindRefused);
  say("bind: begun, and aborted");
}

void take_device(const Board& board) {
  static rsi::DeviceInfo info;
  const std::uint64_t device = board.function_id;
  change_its_mind(device);
  require(rhi::set_state(device, rhi::State::kLocked) == 0, kBindRefused);
  const Objects objects = attest(device, info);
  accept_mmio(board, Report(objects.report), info);
  require(rhi::set_state(device, rhi::State::kRun) == 0, kStartRefused);
  static rsi::DeviceInfo now;
  require(rsi::device_info(device, now) == 0 && now.state == rsi::kStarted, kNotRunning);
  say("start: the TDI runs");
  require(rsi::dma_enable(device, info) == 0, kDmaNotAccepted);
  say("accept: trusted DMA");
}

// rsi_invalidate_dev_mapping() before the host may unlock.
void give_back(const Board& board) {
  using rsi::Ripas;
  require(rsi::dma_disable(board.function_id) == 0, kUnbindRefused);
  require(
      rsi::set_state(platform::kBar0, platform::kBar0 + kBar0Used, Ripas::kEmpty, true) == 0 &&
          rsi::set_state(platform::kBar2, platform::kBar2 + kBar2Used, Ripas::kEmpty, true) == 0,
      kUnbindRefused);
  require(rhi::set_state(board.function_id, rhi::State::kUnlocked) == 0, kUnbindRefused);
}

// What a verifier of this realm asks for: something measured, here which root its owner trusts,
// and a token with the verifier's challenge that says so. Whose signatures it has the verifier
// checks; the realm sees that it is its own.
void report_itself(std::uint64_t page, bool give) {
  constexpr std::uint64_t kSlot = 1;
  unsigned char root[sha384::kSize];
  const volatile Board& board = at<Board>(shared(platform::kBoard));
  for (unsigned i = 0; i < sizeof root; ++i) root[i] = board.root[i];
  std::uint64_t before[rsi::kMeasurementWords];
  std::uint64_t after[rsi::kMeasurementWords];
  require(rsi::measurement(kSlot, before) == 0, kNoReportOfItself);
  require(rsi::extend(kSlot, root, sizeof root) == 0, kNoReportOfItself);
  require(rsi::measurement(kSlot, after) == 0 && after[0] != before[0], kNoReportOfItself);
  std::uint64_t initial[rsi::kMeasurementWords];
  require(rsi::measurement(0, initial) == 0, kNoReportOfItself);

  unsigned char nonce[32];
  draw_nonce(nonce);
  unsigned char challenge[rsi::kChallenge] = {};
  for (unsigned i = 0; i < sizeof nonce; ++i) challenge[i] = nonce[i];
  std::uint64_t most = 0;
  std::uint64_t size = 0;
  require(rsi::begin_token(challenge, most) == 0 && most <= kPage, kNoReportOfItself);
  require(rsi::token(page, size) == 0, kNoReportOfItself);
  const Bytes token{reinterpret_cast<const unsigned char*>(page), size};
  const auto has = [&](const std::uint64_t(&words)[rsi::kMeasurementWords]) {
    return token.contains(reinterpret_cast<const unsigned char*>(words), sizeof words);
  };
  require(token.contains(challenge, sizeof challenge) && has(initial) && has(after),
          kNoReportOfItself);
  say("attest: a token of the realm's own, with its measurements and a challenge");
  if (!give || size > kPage - sizeof size) return;
  const std::uint64_t to = shared(platform::kToken);
  at<std::uint64_t>(to) = size;
  for (std::uint64_t i = 0; i < size; ++i) at<unsigned char>(to + sizeof size + i) = token.at[i];
}

void check_realm() {
  unsigned bits = 0;
  require(rsi::version() == 0, kBoardIsWrong);
  require(rsi::realm_config(bits) == 0 && 1ULL << (bits - 1) == platform::kUnprotected,
          kBoardIsWrong);
  require(rhi::features(offered) == 0 && (offered & rhi::kAllFeatures) == rhi::kAllFeatures,
          kNoDevice);
}

}  // namespace

extern "C" [[noreturn]] void guest_main(std::uint64_t board_gpa) {
  const volatile Board& page = at<Board>(shared(board_gpa));
  require(page.magic == Board::kMagic, kBoardIsWrong);
  // A copy: shared memory may change under our eyes.
  const Board board = {page.magic,     page.function_id, page.flags,
                       page.bar0_size, page.bar2_size,   {}};
  check_realm();
  emulated::enable();
  require(emulated::read(dma::kId) == dma::kIdValue, kNoDevice);
  say("found a DMA engine");
  use_shared();

  std::uint64_t ripas = 0;
  require(rsi::set_state(kCopy, kFreshEnd, rsi::Ripas::kRam, false) == 0, kPageNotAccepted);
  require(rsi::get_state(kGiven, ripas) == 0 && ripas == 1, kPageNotAccepted);
  at<std::uint64_t>(kGiven) = kGiven;
  require(rsi::set_state(kGiven, kGiven + kPage, rsi::Ripas::kEmpty, true) == 0, kSharedTouch);
  at<std::uint64_t>(shared(kGiven)) = kGiven;
  require(at<std::uint64_t>(shared(kGiven)) == kGiven, kSharedTouch);
  say("memory is taken into use, and given back");
  report_itself(kBundle, (board.flags & platform::kGivesToken) != 0);

  take_device(board);
  use_privately(kRing);
  host::port_out(platform::kPortCheckpoint, 4, 1);
  if ((board.flags & platform::kKeepBound) == 0) {
    give_back(board);
    use_shared();
  }
  say("done");
  finish(platform::kSuccess);
}
