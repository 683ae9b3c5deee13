// Links: firmware/rmm
#include <array>

#include "firmware/rmm/rmm.h"
#include "fuzzer.h"

// The input is a sequence of host commands and realm calls over a few granules and pages:
// whatever host and realm say, no check of ours may fail.
namespace teeio::fuzz {
namespace {

using namespace rmm;

constexpr std::size_t kMaxSteps = 256;
constexpr Hpa kBar{0x8000'0000};

struct Silent final : hw::MmioTarget {
  void mmio_read(std::uint64_t, std::span<std::byte>) override {}
  void mmio_write(std::uint64_t, ByteView) override {}
};

class Host {
 public:
  Host() {
    (void)memory_.claim_mmio(kBar, 0x10'0000, bar_);
    for (Hpa& page : pages_) page = *memory_.alloc_page();
  }
  void step(Reader& in) {
    const auto what = in.le<std::uint8_t>();
    if (what >= 200) return fill(in);
    const Hpa a = address(in), b = address(in), c = address(in), d = address(in);
    const std::uint64_t word = in.le<std::uint64_t>();
    const Gpa ipa{in.le<std::uint32_t>() & 0x3f'ffffU}, top = ipa + in.le<std::uint16_t>() * 16U;
    host(what % 46, a, b, c, d, word, ipa, top);
  }

 private:
  Hpa address(Reader& in) {
    const auto which = in.le<std::uint8_t>();
    if (which >= 128) return kBar + (which - 128U) * kPageSize;
    return pages_[which % pages_.size()];
  }
  /// Some bytes into a page; addresses among them name our pages.
  void fill(Reader& in) {
    const Hpa page = address(in);
    const auto offset = in.le<std::uint16_t>() % (kPageSize - 16);
    if ((in.le<std::uint8_t>() & 1U) != 0) {
      (void)memory_.write_u64(page + (offset & ~7U), raw(address(in)));
    } else {
      Bytes bytes(8);
      for (std::byte& byte : bytes) byte = std::byte{in.le<std::uint8_t>()};
      (void)memory_.write(page + offset, bytes);
    }
  }
  void host(unsigned what, Hpa a, Hpa b, Hpa c, Hpa d, std::uint64_t word, Gpa ipa, Gpa top) {
    const AddressFlags flags{.type = static_cast<std::uint8_t>(word & 3U),
                             .count = word >> 2U & 7U};
    const auto level = static_cast<std::uint8_t>(word & 3U);
    switch (what) {
      case 0:
        return (void)rmm_.granule_range_delegate(a, a + kPageSize);
      case 1:
        return (void)rmm_.granule_range_undelegate(a, a + kPageSize);
      case 2:
        return (void)rmm_.realm_create(a, {.vm = 1, .rtt = b, .devices = (word & 1U) == 0});
      case 3:
        return (void)rmm_.realm_activate(a);
      case 4:
        return (void)rmm_.realm_terminate(a);
      case 5:
        return (void)rmm_.realm_destroy(a);
      case 6:
        return (void)rmm_.rec_create(a, b, c);
      case 7:
        return (void)rmm_.rec_destroy(a);
      case 8:
        return (void)rmm_.rec_enter(a, word);
      case 9:
        return (void)rmm_.pdev_create(a, b);
      case 10:
        return (void)rmm_.pdev_communicate(a, b);
      case 11:
        return (void)rmm_.pdev_set_pubkey(a, b);
      case 12:
        return (void)rmm_.pdev_stream_connect(a);
      case 13:
        return (void)rmm_.pdev_stream_complete(a, b, raw(c) + 1);
      case 14:
        return (void)rmm_.pdev_stream_disconnect(a, b, raw(c) + 1);
      case 15:
        return (void)rmm_.pdev_stream_key_refresh(a, b, raw(c) + 1);
      case 16:
        return (void)rmm_.pdev_stop(a);
      case 17:
        return (void)rmm_.pdev_abort(a);
      case 18:
        return (void)rmm_.pdev_destroy(a);
      case 19:
        return (void)rmm_.vdev_create(a, b, c, d);
      case 20:
        return (void)rmm_.vdev_communicate(a, b, c, d);
      case 21:
        return (void)rmm_.vdev_lock(a, b, c);
      case 22:
        return (void)rmm_.vdev_start(a, b, c);
      case 23:
        return (void)rmm_.vdev_get_interface_report(a, b, c);
      case 24:
        return (void)rmm_.vdev_get_measurements(a, b, c, d);
      case 25:
        return (void)rmm_.vdev_complete(a, b);
      case 26:
        return (void)rmm_.vdev_unlock(a, b, c);
      case 27:
        return (void)rmm_.vdev_abort(a, b, c);
      case 28:
        return (void)rmm_.vdev_destroy(a, b, c);
      case 29:
        return (void)rmm_.psmmu_activate(Settings::kPsmmu, a);
      case 30:
        return (void)rmm_.psmmu_deactivate(Settings::kPsmmu);
      case 31:
        return (void)rmm_.psmmu_st_l2_create(Settings::kPsmmu, word & 0x1c0U);
      case 32:
        return (void)rmm_.psmmu_st_l2_destroy(Settings::kPsmmu, word & 0x1c0U);
      case 33:
        return (void)rmm_.op_continue(word & 15U);
      case 34:
        return (void)rmm_.op_mem_donate(word & 15U, a, word >> 4U & 15U);
      case 35:
        return (void)rmm_.op_mem_reclaim(word & 15U, a, word >> 4U & 15U);
      case 36:
        return (void)rmm_.rtt_dev_map(a, b, ipa, top, flags, word);
      case 37:
        return (void)rmm_.rtt_dev_unmap(a, ipa, top, flags, raw(b));
      case 38:
        return (void)rmm_.rtt_dev_validate(a, b, ipa, top);
      case 39:
        return (void)rmm_.rtt_create(a, b, ipa, level);
      case 40:
        return (void)rmm_.rtt_destroy(a, ipa, level);
      case 41:
        return (void)rmm_.rtt_read_entry(a, ipa, level);
      case 42:
        return (void)rmm_.rtt_set_ripas(a, b, ipa, top);
      case 43:
        return (void)rmm_.psci_complete(a, b, word);
      case 44:
        return realm(a, b, c, word);
      default:
        return (void)rmm_.op_cancel(word & 15U);
    }
  }

  /// The REC at `a`, if it can be entered, makes a call with what the page `b` has.
  void realm(Hpa a, Hpa b, Hpa run, std::uint64_t word) {
    hw::ArmRegisters registers;
    const RmiResult entered = rmm_.rec_enter(a, run, registers);
    if (!entered.ok() || entered.x1 != static_cast<std::uint64_t>(RecExit::kRealm)) return;
    for (std::size_t i = 1; i < 16; ++i)
      registers.x[i] = memory_.read_u64(b + i * sizeof(std::uint64_t)).value_or(0);
    const std::uint64_t first = (word & 0x100U) == 0 ? 0xc400'0190 : 0x8400'0000;
    registers.x[0] = first + (word & 0x1fU);
    if (rmm_.realm_call(a, run, registers)) rmm_.rec_exit(a, run, {});
  }

  object::Trace trace_;
  hw::PhysicalMemory memory_{1U << 22U};
  Silent bar_;
  hw::RootPort port_{trace_,
                     {.bdf = {0, 0, 1, 0},
                      .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                 .primary = 0,
                                 .secondary = 1,
                                 .subordinate = 1,
                                 .memory = {},
                                 .io = {},
                                 .prefetchable = {}},
                      .ide_streams = 2,
                      .tee_io = true}};
  Rmm rmm_{memory_, trace_, {&port_}, {}, {.rec_granules = 1}};
  std::array<Hpa, 24> pages_{};
};

}  // namespace

void run(ByteView input) {
  Host host;
  Reader in(input);
  for (std::size_t steps = 0; steps < kMaxSteps && !in.rest().empty(); ++steps) host.step(in);
}

}  // namespace teeio::fuzz
