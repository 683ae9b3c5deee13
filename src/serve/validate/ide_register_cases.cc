// What the device's IDE registers say of a stream, as QUERY_RESP shows them, while its keys come
// and go.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "serve/validate/ide_cases.h"
#include "wire/ide_registers.h"

namespace teeio::serve::validate {

/// Both kinds have ID and enable bit at one place. Source: Linux include/uapi/linux/pci_regs.h,
/// PCI_IDE_LINK_CTL_*, PCI_IDE_SEL_CTL_*.
std::optional<std::uint32_t> status_of(const wire::IdeRegisters& registers, std::uint8_t stream) {
  const auto is_it = [&](const wire::IdeLinkBlock& block) {
    return block.enabled() && block.stream_id() == stream;
  };
  const auto selective = std::ranges::find_if(registers.streams, is_it);
  if (selective != registers.streams.end()) return selective->status & wire::kIdeStreamState;
  const auto link = std::ranges::find_if(registers.links, is_it);
  if (link != registers.links.end()) return link->status & wire::kIdeStreamState;
  return std::nullopt;
}

std::expected<wire::IdeRegisters, Verdict> shown_registers(const Bench& bench, Session& session) {
  const auto answer = session.ide_km(wire::IdeKmQuery{bench.target().port_index});
  const auto* const response = answer ? std::get_if<wire::IdeKmQueryResp>(&*answer) : nullptr;
  if (response == nullptr)
    return std::unexpected(failed(fmt::format("QUERY: {} came", session.last().str())));
  auto registers = wire::IdeRegisters::decode(response->registers);
  if (!registers) return std::unexpected(skipped("QUERY_RESP has not the whole IDE capability"));
  return std::move(*registers);
}

namespace {

std::expected<std::uint32_t, Verdict> shown_status(const Bench& bench, Session& session) {
  const Target& target = bench.target();
  const auto registers = shown_registers(bench, session);
  if (!registers) return std::unexpected(registers.error());
  const auto status = status_of(*registers, target.stream_id);
  if (!status)
    return std::unexpected(
        skipped(fmt::format("QUERY_RESP has no enabled stream {}", target.stream_id)));
  return *status;
}

}  // namespace

Verdict shows_secure(const Bench& bench, Session& session, bool secure, std::string_view when) {
  TEEIO_CASE_ASSIGN(const std::uint32_t status, shown_status(bench, session));
  TEEIO_CASE((status == wire::kIdeStateSecure) == secure, "the stream's status is {} {}", status,
             when);
  return passed();
}

Verdict registers_go(Bench& bench) {
  for (const unsigned set : {0U, 1U}) {
    TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
    if (Verdict before = shows_secure(bench, session, false, "before there are keys");
        before.kind != Verdict::Kind::kPass)
      return before;
    const auto started = bench.start_keys(session, set);
    TEEIO_CASE(started.has_value(), "{}", started.error());
    if (Verdict after = shows_secure(bench, session, true, fmt::format("when set {} goes", set));
        after.kind != Verdict::Kind::kPass)
      return after;
    const auto stopped = bench.stop_keys(session, set);
    TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  }
  return passed();
}

Verdict registers_half(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto programmed = bench.program_keys(session, 0);
  TEEIO_CASE(programmed.has_value(), "{}", programmed.error());
  return shows_secure(bench, session, false, "when keys are programmed and none goes");
}

Verdict registers_switch(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  for (const unsigned set : {0U, 1U}) {
    const auto started = bench.start_keys(session, set);
    TEEIO_CASE(started.has_value(), "set {}: {}", set, started.error());
  }
  return shows_secure(bench, session, true, "when set 1 took over");
}

Verdict registers_stop(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto started = bench.start_keys(session, 0);
  TEEIO_CASE(started.has_value(), "{}", started.error());
  const auto stopped = bench.stop_keys(session, 0);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return shows_secure(bench, session, false, "when its keys have stopped");
}

}  // namespace teeio::serve::validate
