#include "cli/serve_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "cli/key_files.h"
#include "cli/print.h"
#include "cli/psk_argument.h"
#include "serve/idle_options.h"
#include "serve/knobs.h"
#include "wire/spdm_capability_names.h"

namespace teeio::cli {
namespace {

/// MUT_AUTH and --mutual-auth are one wish: neither does anything without the other.
std::string why_no_mutual_auth(const ServeArguments& arguments, std::uint32_t flags) {
  if (arguments.mutual_auth && (flags & wire::kSpdmCapMutAuth) == 0)
    return "--mutual-auth needs MUT_AUTH, which --capabilities leaves out";
  const bool named = std::ranges::any_of(arguments.capabilities, [](const std::string& word) {
    return word == "MUT_AUTH" || word == "+MUT_AUTH";
  });
  return named && !arguments.mutual_auth ? "the capability MUT_AUTH needs --mutual-auth" : "";
}

/// Whether a file brings the key of slot 0, so that somebody may have its public half beforehand.
bool has_own_key(const ServeArguments& arguments) {
  return !arguments.chain.empty() || std::ranges::any_of(arguments.slots, [](const auto& slot) {
    return slot.starts_with("0=");
  });
}

/// A version that lacks all algorithms that are offered is not listed; where somebody named it,
/// why not.
std::string keep_versions_of_algorithms(serve::SpeakerOptions& spdm, bool named) {
  const bool has_pqc = spdm::Algorithms::all().with_post_quantum().pqc_asym != 0;
  if (spdm.post_quantum != serve::PostQuantum::kOnly || !has_pqc) return {};
  const auto removed =
      std::erase_if(spdm.versions, [](std::uint8_t each) { return each < wire::kSpdmVersion14; });
  return named && removed != 0
             ? "--post-quantum only: SPDM 1.4 is the first version that has such algorithms"
             : "";
}

std::expected<void, std::string> set_knobs(const ServeArguments& arguments,
                                           serve::SpeakerOptions& spdm) {
  if (!arguments.versions.empty()) {
    auto versions = serve::parse_versions(arguments.versions);
    if (!versions) return std::unexpected(versions.error());
    spdm.versions = std::move(*versions);
  }
  if (!arguments.secured_versions.empty()) {
    auto versions = serve::parse_secured_versions(arguments.secured_versions);
    if (!versions) return std::unexpected(versions.error());
    spdm.secured_versions = std::move(*versions);
  }
  constexpr std::size_t kMostOpaque = spdm::ResponderConfig::kMaxMeasurementOpaque;
  if (arguments.measurement_opaque.size() > kMostOpaque)
    return std::unexpected(
        fmt::format("--measurement-opaque must have at most {} bytes", kMostOpaque));
  const auto opaque = std::as_bytes(std::span(arguments.measurement_opaque));
  spdm.measurement_opaque.assign(opaque.begin(), opaque.end());
  if (!arguments.capabilities.empty()) {
    const auto flags = serve::parse_capabilities(arguments.capabilities);
    if (!flags) return std::unexpected(flags.error());
    constexpr std::uint32_t kAnyPsk = wire::kSpdmCapPsk | wire::kSpdmCapPskWithContext;
    if ((flags->flags & ~spdm::default_responder_flags() & kAnyPsk) != 0 && arguments.psks.empty())
      return std::unexpected("a capability of pre-shared keys needs --psk");
    if (const std::string why = why_no_mutual_auth(arguments, flags->flags); !why.empty())
      return std::unexpected(why);
    if ((flags->flags & wire::kSpdmCapPubKeyId) != 0 && !has_own_key(arguments))
      return std::unexpected(
          "the capability PUB_KEY_ID needs --chain and --key, or --slot 0: nobody has the public "
          "key of the card's own beforehand");
    spdm.capabilities = flags->flags;
    spdm.extended_capabilities = flags->extended;
  }
  spdm.post_quantum = *serve::post_quantum_of(arguments.post_quantum);
  if (auto why = keep_versions_of_algorithms(spdm, !arguments.versions.empty()); !why.empty())
    return std::unexpected(std::move(why));
  if (const auto what = serve::leave_out_unavailable(spdm.algorithms, spdm.post_quantum);
      !what.empty())
    complain("teeio serve: {}\n", what);
  const auto chosen = serve::parse_algorithms(
      serve::available_algorithms(!arguments.chain.empty() || !arguments.slots.empty()),
      spdm.algorithms);
  if (!chosen) return std::unexpected(chosen.error());
  return {};
}

/// Words that are no slot's whoever reads them refuses.
serve::NamedOptions named_options(const ServeArguments& arguments,
                                  const serve::ServerOptions& options) {
  serve::NamedOptions named{
      .shared_chain = !arguments.chain.empty(),
      .transport = options.transport,
      .state_file = !options.load_state.empty() || !options.save_state.empty(),
      .pcap = !options.pcap.empty()};
  for (const std::string& word : arguments.capabilities)
    for (const wire::NamedBit& bit : wire::kSpdmCapNames) {
      if (word == bit.name || word == '+' + std::string(bit.name)) named.capabilities |= bit.mask;
      if (word == '-' + std::string(bit.name)) named.capabilities &= ~bit.mask;
    }
  for (const std::string& text : arguments.slots)
    if (text[0] >= '0' && text[0] <= '7')
      named.single_slots = static_cast<std::uint8_t>(named.single_slots | 1U << (text[0] - '0'));
  return named;
}

}  // namespace

std::expected<serve::ServerOptions, std::string> parse(const ServeArguments& arguments) {
  serve::ServerOptions options = arguments.options;
  auto address = serve::Address::parse(arguments.listen);
  if (!address) return std::unexpected(address.error());
  options.listen = *address;
  if (!arguments.connect.empty()) {
    auto requester = serve::Address::parse(arguments.connect);
    if (!requester) return std::unexpected(requester.error());
    options.connect = std::move(*requester);
  }
  if (!arguments.transport.empty()) options.transport = serve::parse_transport(arguments.transport);
  for (const std::string& text : arguments.functions) {
    const auto bdf = Bdf::parse(text);
    if (!bdf) return std::unexpected(fmt::format("{}: must be a PCI address", text));
    options.functions.push_back(*bdf);
  }
  if (const auto done = set_knobs(arguments, options.spdm); !done)
    return std::unexpected(done.error());
  for (const std::string& text : arguments.measurements) {
    auto block = serve::parse_measurement(text);
    if (!block) return std::unexpected(block.error());
    options.spdm.measurements.push_back(std::move(*block));
  }
  for (const std::string& text : arguments.faults) {
    auto fault = serve::parse_fault(text);
    if (!fault) return std::unexpected(fault.error());
    options.spdm.faults.push_back(std::move(*fault));
  }
  for (const std::string& text : arguments.ide_streams) {
    const auto setup = serve::parse_ide_stream(text);
    if (!setup) return std::unexpected(setup.error());
    options.spdm.ide_streams.push_back(*setup);
  }
  if (arguments.mutual_auth)
    options.spdm.mutual_auth =
        arguments.mutual_auth_required ? spdm::MutualAuth::kRequired : spdm::MutualAuth::kOptional;
  options.spdm.reuses_requester_chain = arguments.mutual_auth_reuse;
  if (!arguments.requester_key.empty()) {
    auto key = read_public_key(arguments.requester_key);
    if (!key) return std::unexpected(key.error());
    options.spdm.requester_key = std::move(*key);
  }
  for (const std::string& text : arguments.psks) {
    auto psk = parse_psk(text);
    if (!psk) return std::unexpected(psk.error());
    options.spdm.psks.push_back(std::move(*psk));
  }
  if (auto why = serve::why_idle(options.spdm, named_options(arguments, options)); !why.empty())
    return std::unexpected(std::move(why));
  return options;
}

}  // namespace teeio::cli
