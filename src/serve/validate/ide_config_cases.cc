// Selective IDE streams in the configurations that a device's IDE capability offers, over its own
// registers. Source: intel/tee-io-validator doc/ide_test/IdeKmTestConfiguration/1.SelectiveIDE.md;
// bits as Linux include/uapi/linux/pci_regs.h has them (PCI_IDE_CAP_*, PCI_IDE_SEL_CTL_*).
#include <fmt/format.h>

#include "serve/validate/ide_cases.h"
#include "serve/validate/ide_stream.h"
#include "wire/ide_registers.h"

namespace teeio::serve::validate {
namespace {

struct Configuration {
  std::uint32_t offered;  ///< bit of the capability
  std::uint32_t control;  ///< bits of the stream's control register
  std::string_view name;
};
constexpr Configuration kHeader{1U << 3U, 1U << 10U, "partial header encryption"};
constexpr Configuration kAggregation{1U << 4U, 1U << 2U | 1U << 4U | 1U << 6U, "aggregation"};
constexpr Configuration kPcrc{1U << 5U, 1U << 8U, "PCRC"};
constexpr Configuration kRequests{1U << 7U, 1U << 9U, "configuration requests"};
constexpr Configuration kTeeLimited{1U << 24U, 1U << 23U, "TEE-limited streams"};

/// The stream is plain again, whatever the case found.
class Configured {
 public:
  Configured(const IdeStream& stream, std::uint32_t bits)
      : stream_(stream), control_(stream.configure(bits)) {}
  ~Configured() { (void)stream_.configure(0); }
  Configured(const Configured&) = delete;
  Configured& operator=(const Configured&) = delete;
  [[nodiscard]] std::uint32_t control() const { return control_; }

 private:
  const IdeStream& stream_;
  const std::uint32_t control_;
};

Verdict gets_secure(Bench& bench, const Configuration& wanted) {
  const IdeStream* const stream = bench.target().stream;
  if (stream == nullptr || !stream->block())
    return skipped("registers can be written with --pci alone, and where the stream is free");
  if ((stream->capability() & wanted.offered) == 0)
    return skipped(fmt::format("the IDE capability has no {}", wanted.name));
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const Configured configured(*stream, wanted.control);
  TEEIO_CASE((configured.control() & wanted.control) == wanted.control,
             "the control register does not keep {:#x}: it is {:#010x}", wanted.control,
             configured.control());
  TEEIO_CASE((stream->status() & wire::kIdeStreamState) != wire::kIdeStateSecure,
             "the stream is Secure without keys");
  const auto started = bench.start_keys(session, 0);
  TEEIO_CASE(started.has_value(), "{}", started.error());
  const std::uint32_t status = stream->status() & wire::kIdeStreamState;
  const auto stopped = bench.stop_keys(session, 0);
  TEEIO_CASE(status == wire::kIdeStateSecure, "the stream's status is {}", status);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  TEEIO_CASE((stream->status() & wire::kIdeStreamState) != wire::kIdeStateSecure,
             "the stream is Secure after K_SET_STOP");
  return passed();
}

}  // namespace

Verdict config_header_encryption(Bench& bench) { return gets_secure(bench, kHeader); }
Verdict config_aggregation(Bench& bench) { return gets_secure(bench, kAggregation); }
Verdict config_pcrc(Bench& bench) { return gets_secure(bench, kPcrc); }
Verdict config_requests(Bench& bench) { return gets_secure(bench, kRequests); }
Verdict config_tee_limited(Bench& bench) { return gets_secure(bench, kTeeLimited); }

}  // namespace teeio::serve::validate
