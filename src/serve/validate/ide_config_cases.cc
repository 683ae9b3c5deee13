// IDE streams in the configurations that a device's IDE capability offers. Source:
// intel/tee-io-validator doc/ide_test/IdeKmTestConfiguration/1.SelectiveIDE.md, 2.LinkIDE.md and
// 3.SelectiveAndLinkIDE.md; bits as Linux include/uapi/linux/pci_regs.h has them (PCI_IDE_CAP_*,
// PCI_IDE_LINK_CTL_*, PCI_IDE_SEL_CTL_*).
#include <fmt/format.h>

#include <algorithm>

#include "serve/validate/ide_cases.h"
#include "serve/validate/ide_stream.h"

namespace teeio::serve::validate {
namespace {

struct Configuration {
  std::uint32_t offered;  ///< bit of the capability; 0: every port has it
  std::uint32_t fields;   ///< of the stream's control register
  std::uint32_t control;  ///< what is written there
  std::string_view name;
};
constexpr Configuration kPlain{0, 0, 0, "streams"};
constexpr Configuration kHeader{1U << 3U, 0xfU << 10U, 1U << 10U, "partial header encryption"};
constexpr Configuration kAggregation{1U << 4U, 0x3fU << 2U, 0x15U << 2U, "aggregation"};
constexpr Configuration kPcrc{1U << 5U, 1U << 8U, 1U << 8U, "PCRC"};
constexpr Configuration kRequests{1U << 7U, 1U << 9U, 1U << 9U, "configuration requests"};
constexpr Configuration kTeeLimited{1U << 24U, 1U << 23U, 1U << 23U, "TEE-limited streams"};

/// A stream that is configured as wanted.
struct Chosen {
  std::uint8_t id = 0;
  const IdeStream* selective = nullptr;  ///< whose registers say its status; neither: QUERY_RESP
  const IdeLinkStream* link = nullptr;
};

/// Streams are as they were, whatever a case found.
class PutBack {
 public:
  explicit PutBack(const Target& target) : target_(target) {}
  ~PutBack() {
    if (target_.stream != nullptr && target_.stream->block()) (void)target_.stream->configure(0);
    if (target_.link_stream != nullptr) target_.link_stream->put_back();
  }
  PutBack(const PutBack&) = delete;
  PutBack& operator=(const PutBack&) = delete;

 private:
  const Target& target_;
};

std::expected<void, Verdict> wants_offer(std::uint32_t capability, const Configuration& wanted) {
  if ((capability & wanted.offered) == wanted.offered) return {};
  return std::unexpected(skipped(fmt::format("the IDE capability has no {}", wanted.name)));
}

/// Writes the stream's register.
template <class Stream>
std::expected<void, Verdict> write_control(const Stream& stream, const Configuration& wanted) {
  if (auto offered = wants_offer(stream.capability(), wanted); !offered) return offered;
  const std::uint32_t control = stream.configure(wanted.control);
  if ((control & wanted.fields) == wanted.control) return {};
  return std::unexpected(failed(fmt::format(
      "the control register does not keep {:#x}: it is {:#010x}", wanted.control, control)));
}

/// Among those that QUERY_RESP shows; a bus's other streams are somebody else's.
std::expected<Chosen, Verdict> shown_stream(const Target& target,
                                            const wire::IdeRegisters& registers, bool is_link,
                                            const Configuration& wanted) {
  if (auto offered = wants_offer(registers.capability, wanted); !offered)
    return std::unexpected(offered.error());
  const auto fits = [&](const wire::IdeLinkBlock& block) {
    const bool is_ours = target.bus == nullptr || block.stream_id() == target.stream_id;
    return is_ours && block.enabled() &&
           (wanted.fields == 0 || (block.control & wanted.fields) != 0);
  };
  const auto link = std::ranges::find_if(registers.links, fits);
  if (is_link && link != registers.links.end()) return Chosen{.id = link->stream_id()};
  const auto selective = std::ranges::find_if(registers.streams, fits);
  if (!is_link && selective != registers.streams.end()) return Chosen{.id = selective->stream_id()};
  return std::unexpected(
      skipped(fmt::format("no enabled stream of QUERY_RESP has {}, and its "
                          "registers can be written with --pci alone",
                          wanted.name)));
}

std::expected<Chosen, Verdict> selective_stream(Bench& bench, Session& session,
                                                const Configuration& wanted) {
  const IdeStream* const stream = bench.target().stream;
  if (stream != nullptr && stream->block()) {
    if (auto written = write_control(*stream, wanted); !written)
      return std::unexpected(written.error());
    return Chosen{.id = stream->stream_id(), .selective = stream};
  }
  const auto registers = shown_registers(bench, session);
  if (!registers) return std::unexpected(registers.error());
  return shown_stream(bench.target(), *registers, false, wanted);
}

std::expected<Chosen, Verdict> link_stream(Bench& bench, Session& session,
                                           const Configuration& wanted) {
  const IdeLinkStream* const stream = bench.target().link_stream;
  if (stream != nullptr && stream->block()) {
    if (auto written = write_control(*stream, wanted); !written)
      return std::unexpected(written.error());
    return Chosen{.id = stream->stream_id(), .link = stream};
  }
  if (stream != nullptr && stream->id_is_taken())
    return std::unexpected(skipped(fmt::format(
        "stream ID {}, which a link stream would be tried with, is of a stream that is enabled",
        stream->stream_id())));
  const auto registers = shown_registers(bench, session);
  if (!registers) return std::unexpected(registers.error());
  if (registers->links.empty())
    return std::unexpected(skipped("the IDE capability has no link streams"));
  return shown_stream(bench.target(), *registers, true, wanted);
}

std::expected<bool, Verdict> is_secure(const Bench& bench, Session& session, const Chosen& chosen) {
  std::optional<std::uint32_t> status;
  if (chosen.selective != nullptr) {
    status = chosen.selective->status();
  } else if (chosen.link != nullptr) {
    status = chosen.link->status();
  } else {
    const auto registers = shown_registers(bench, session);
    if (!registers) return std::unexpected(registers.error());
    status = status_of(*registers, chosen.id);
  }
  if (!status) return std::unexpected(failed(fmt::format("stream {} is gone", chosen.id)));
  return (*status & wire::kIdeStreamState) == wire::kIdeStateSecure;
}

/// `when`: the end of the sentence.
Verdict wants_secure(const Bench& bench, Session& session, const std::vector<Chosen>& streams,
                     bool wanted, std::string_view when) {
  for (const Chosen& one : streams) {
    TEEIO_CASE_ASSIGN(const bool secure, is_secure(bench, session, one));
    TEEIO_CASE(secure == wanted, "stream {} is {}Secure {}", one.id, secure ? "" : "not ", when);
  }
  return passed();
}

/// All of them get Secure by their keys, and are not when those have stopped.
Verdict get_secure(Bench& bench, Session& session, const std::vector<Chosen>& streams) {
  for (const Chosen& one : streams) (void)bench.stop_keys(session, 0, one.id);
  if (Verdict verdict = wants_secure(bench, session, streams, false, "without keys");
      verdict.kind != Verdict::Kind::kPass)
    return verdict;
  std::string problem;
  for (const Chosen& one : streams)
    if (const auto started = bench.start_keys(session, 0, one.id); !started && problem.empty())
      problem = started.error();
  Verdict verdict =
      problem.empty() ? wants_secure(bench, session, streams, true, "when its keys go") : passed();
  for (const Chosen& one : streams)
    if (const auto stopped = bench.stop_keys(session, 0, one.id); !stopped && problem.empty())
      problem = stopped.error();
  TEEIO_CASE(problem.empty(), "{}", problem);
  if (verdict.kind != Verdict::Kind::kPass) return verdict;
  return wants_secure(bench, session, streams, false, "after K_SET_STOP");
}

using Choose = std::expected<Chosen, Verdict> (*)(Bench&, Session&, const Configuration&);

Verdict gets_secure(Bench& bench, Choose choose, const Configuration& wanted) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const PutBack as_it_was(bench.target());
  TEEIO_CASE_ASSIGN(const Chosen chosen, choose(bench, session, wanted));
  return get_secure(bench, session, {chosen});
}

}  // namespace

Verdict config_header_encryption(Bench& bench) {
  return gets_secure(bench, selective_stream, kHeader);
}
Verdict config_aggregation(Bench& bench) {
  return gets_secure(bench, selective_stream, kAggregation);
}
Verdict config_pcrc(Bench& bench) { return gets_secure(bench, selective_stream, kPcrc); }
Verdict config_requests(Bench& bench) { return gets_secure(bench, selective_stream, kRequests); }
Verdict config_tee_limited(Bench& bench) {
  return gets_secure(bench, selective_stream, kTeeLimited);
}

Verdict link_plain(Bench& bench) { return gets_secure(bench, link_stream, kPlain); }
Verdict link_header_encryption(Bench& bench) { return gets_secure(bench, link_stream, kHeader); }
Verdict link_aggregation(Bench& bench) { return gets_secure(bench, link_stream, kAggregation); }
Verdict link_pcrc(Bench& bench) { return gets_secure(bench, link_stream, kPcrc); }

Verdict link_and_selective(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const PutBack as_it_was(bench.target());
  TEEIO_CASE_ASSIGN(const Chosen link, link_stream(bench, session, kPlain));
  TEEIO_CASE_ASSIGN(const Chosen selective, selective_stream(bench, session, kPlain));
  return get_secure(bench, session, {link, selective});
}

}  // namespace teeio::serve::validate
