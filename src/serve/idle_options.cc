#include "serve/idle_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "serve/capture.h"
#include "serve/fault_names.h"
#include "serve/repeated_options.h"
#include "spdm/capability_rules.h"
#include "spdm/suite.h"
#include "wire/spdm_capability_names.h"

namespace teeio::serve {
namespace {

using namespace wire;

constexpr std::uint32_t kAnySession = kSpdmCapKeyEx | kSpdmCapPsk | kSpdmCapPskWithContext;
constexpr std::uint32_t kAnyKey = kSpdmCapCert | kSpdmCapPubKeyId;
constexpr std::uint32_t kAnyMeasurement = kSpdmCapMeasNoSig | kSpdmCapMeasSig;

/// What some version's CAPABILITIES can have. As spdm/responder_connect.cc, own_flags().
std::uint32_t flags_on_the_wire(const SpeakerOptions& options, const NamedOptions& named) {
  std::uint32_t known = 0;
  for (const std::uint8_t version : options.versions) known |= spdm_responder_caps(version);
  std::uint32_t flags =
      (options.capabilities != 0 ? options.capabilities : spdm::default_responder_flags()) & known;
  if (options.psks.empty()) flags &= ~(kSpdmCapPsk | kSpdmCapPskWithContext);
  if (named.transport == PlatformTransport::kNone || (flags & kAnySession) == 0)
    flags &= ~(spdm::session_flags() | kAnySession);
  return flags;
}

std::string any_name(std::uint32_t flags) {
  std::string text;
  for (const NamedBit& bit : kSpdmCapNames)
    if ((flags & bit.mask) != 0) text += (text.empty() ? "" : " or ") + std::string(bit.name);
  return text;
}

/// An option, and of which capabilities it needs one.
struct Need {
  bool given;
  std::string_view option;
  std::uint32_t any_of;
};

std::string why_unmet(const Need& need, std::uint32_t flags) {
  if (!need.given || (flags & need.any_of) != 0) return {};
  return fmt::format(
      "{} changes nothing without {}, which nobody can be offered: see --capabilities, "
      "--versions and --transport",
      need.option, any_name(need.any_of));
}

/// What a fault needs to be seen at all; 0: an ERROR shows it, too.
std::uint32_t needed_by(const Fault& fault) {
  const std::string_view of = fault.message;
  switch (fault.kind) {
    case Fault::Kind::kBadSignature:
      return of == "CHALLENGE"          ? kSpdmCapChal
             : of == "GET_MEASUREMENTS" ? kSpdmCapMeasSig
             : of == "KEY_EXCHANGE"     ? kSpdmCapKeyEx
             : of == "GET_CSR"          ? kSpdmCapCsr
                                        : kSpdmCapEndpointInfoSig;
    case Fault::Kind::kBadHmac:
      return of == "KEY_EXCHANGE" ? kSpdmCapKeyEx : kSpdmCapPsk | kSpdmCapPskWithContext;
    case Fault::Kind::kBadDigest:
    case Fault::Kind::kBadCertificate:
      return kSpdmCapCert;
    case Fault::Kind::kWrongNonce:
    case Fault::Kind::kMovedRange:
      return kAnySession;
    case Fault::Kind::kUnasked:
      return kSpdmCapEvent;
    case Fault::Kind::kTruncated:
      return of == kSendEvent ? std::uint32_t{kSpdmCapEvent} : 0;
    case Fault::Kind::kLonger:
      return kAnySession;
    case Fault::Kind::kRepeated:
      return of == kSecured ? kAnySession : 0;
    case Fault::Kind::kWrongVersion:
    case Fault::Kind::kWrongCode:
    case Fault::Kind::kError:
    case Fault::Kind::kEndlessBusy:
    case Fault::Kind::kDropped:
    case Fault::Kind::kLate:
    case Fault::Kind::kAccepted:
      return 0;
  }
  return 0;
}

bool is_of_cxl(std::string_view message) {
  return message.starts_with("CXL_") || std::ranges::find(kCxlTsp, message) != std::end(kCxlTsp);
}

// Of IDE_KM's answers this one has ports and registers.
bool is_query(std::string_view message) { return message == "QUERY"; }

/// Some such request is answered in the clear, too: what its answer shows needs no session.
bool accepts(const SpeakerOptions& options, auto is_such) {
  return std::ranges::any_of(options.faults, [&](const Fault& fault) {
    return fault.kind == Fault::Kind::kAccepted && is_such(fault.message);
  });
}

std::string why_idle_fault(const SpeakerOptions& options, const NamedOptions& named,
                           std::uint32_t flags) {
  for (const Fault& fault : options.faults) {
    if (is_of_cxl(fault.message) && !options.cxl)
      return fmt::format("a --fault at {} changes nothing without --cxl", fault.message);
    if (fault.message == kDiscovery && named.transport &&
        named.transport != PlatformTransport::kPciDoe)
      return fmt::format("a --fault at {} changes nothing without --transport doe", kDiscovery);
    std::uint32_t needs = needed_by(fault);
    if (needs == kAnySession &&
        accepts(options, [&](std::string_view message) { return message == fault.message; }))
      needs = 0;
    const std::string option = fmt::format("a --fault at {} of this kind", fault.message);
    if (auto why = why_unmet({needs != 0, option, needs}, flags); !why.empty()) return why;
  }
  return {};
}

/// Which kind of algorithm a word is of shows in what becomes of all of them.
std::string why_idle_algorithm(const SpeakerOptions& options, const NamedOptions& named,
                               std::uint32_t flags) {
  const bool given_chain = named.shared_chain || named.single_slots != 0;
  const spdm::Algorithms all = available_algorithms(given_chain);
  const bool has_14 = std::ranges::find(options.versions, kSpdmVersion14) != options.versions.end();
  for (const std::string& word : options.algorithms) {
    const auto one = parse_algorithms(all, {word});
    if (!one) continue;  // whoever reads them says why
    const bool signs = one->base_asym != all.base_asym, agrees = one->dhe != all.dhe;
    const std::string option = "--algorithms " + word;
    if (auto why = why_unmet({signs, option, kAnyKey}, flags); !why.empty()) return why;
    if (auto why = why_unmet({agrees, option, kSpdmCapKeyEx}, flags); !why.empty()) return why;
    if (auto why = why_unmet({one->aead != all.aead, option, kAnySession}, flags); !why.empty())
      return why;
    const bool pqc = one->pqc_asym != all.pqc_asym || one->kem != all.kem;
    if (pqc && (!has_14 || options.post_quantum == PostQuantum::kOff))
      return option + " changes nothing without SPDM 1.4, and with --post-quantum off";
    const bool replaced = options.post_quantum == PostQuantum::kOnly &&
                          ((signs && all.pqc_asym != 0) || (agrees && all.kem != 0));
    if (replaced) return option + " changes nothing with --post-quantum only";
  }
  return {};
}

std::string why_idle_version(const SpeakerOptions& options) {
  const std::uint8_t newest = std::ranges::max(options.versions);
  if (options.post_quantum == PostQuantum::kFirst && newest < kSpdmVersion14)
    return "--post-quantum first changes nothing without SPDM 1.4, which --versions leaves out";
  if (options.extended_capabilities != 0 && newest < kSpdmVersion14)
    return "the capability SLOT_MGMT is in no version before SPDM 1.4, which --versions leaves out";
  if (options.reuses_requester_chain && std::ranges::min(options.versions) >= kSpdmVersion14)
    return "--mutual-auth-reuse changes nothing in SPDM 1.4, whose CHALLENGE_AUTH asks nobody";
  if (options.data_transfer_size != SpeakerOptions().data_transfer_size && newest < kSpdmVersion12)
    return "--transfer-size changes nothing before SPDM 1.2, which --versions leaves out";
  return {};
}

std::string why_idle_chain(const SpeakerOptions& options, const NamedOptions& named) {
  const unsigned filled = (1U << options.slots.slots) - 1;
  return named.shared_chain && (filled & ~unsigned{named.single_slots}) == 0
             ? "--chain changes nothing: --slot fills each of the --slots"
             : "";
}

std::string why_idle_capture(const NamedOptions& named) {
  return named.pcap && named.transport && !has_link_type(*named.transport)
             ? fmt::format(
                   "--pcap changes nothing with --transport {}: captures have no link type "
                   "for it",
                   name(*named.transport))
             : "";
}

/// Two values of one field were asked for.
std::string why_two_of_a_field(std::uint32_t flags) {
  for (const NamedBit& bit : kSpdmCapNames) {
    const std::uint32_t other = excluded_by(bit.mask) & flags;
    if ((flags & bit.mask) != 0 && other != 0)
      return fmt::format("these capabilities do not go together: leave out {}, {} (one of these)",
                         bit.name, any_name(other));
  }
  return {};
}

/// Some bit of the two masks is an algorithm of such keys.
bool any_signs_by(crypto::KeyType type, std::uint32_t classical, std::uint32_t post_quantum) {
  const auto is_such = [&](const std::optional<crypto::SignatureAlgorithm>& algorithm) {
    return algorithm && crypto::key_type(*algorithm) == type;
  };
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U)
    if (is_such(spdm::signature_of(classical & bit)) ||
        is_such(spdm::pqc_signature_of(post_quantum & bit)))
      return true;
  return false;
}

}  // namespace

std::string why_idle_key(const SpeakerOptions& options, crypto::KeyType type) {
  const auto chosen = parse_algorithms(available_algorithms(true), options.algorithms);
  if (!chosen) return {};  // whoever reads them says why
  const spdm::Algorithms offered = with_post_quantum(*chosen, options.post_quantum);
  for (const std::uint8_t version : options.versions)
    if (any_signs_by(type, offered.base_asym & spdm::signatures_of_version(version),
                     version < kSpdmVersion14 ? 0 : offered.pqc_asym))
      return {};
  return fmt::format("nobody can use its key ({}): see --algorithms, --post-quantum and --versions",
                     crypto::key_type_name(type));
}

std::string why_idle(const SpeakerOptions& options, const NamedOptions& named) {
  const std::uint32_t flags = flags_on_the_wire(options, named);
  const bool query_in_the_clear = accepts(options, is_query);
  const bool authenticates = options.mutual_auth.has_value();
  const std::array needs{
      Need{options.mutual_auth == spdm::MutualAuth::kRequired, "--mutual-auth-required",
           kSpdmCapKeyEx},
      Need{authenticates, "--mutual-auth", kSpdmCapMutAuth},
      Need{authenticates, "--mutual-auth", kSpdmCapEncap},
      Need{authenticates, "--mutual-auth", kSpdmCapKeyEx | kSpdmCapChal},
      Need{options.reuses_requester_chain, "--mutual-auth-reuse", kSpdmCapChal},
      Need{options.reuses_requester_chain, "--mutual-auth-reuse", kSpdmCapKeyEx},
      Need{options.requester_key.has_value(), "--requester-key", kSpdmCapKeyEx},
      Need{!options.secured_versions.empty(), "--secured-versions", kAnySession},
      Need{options.heartbeat_s != 0, "--heartbeat", kSpdmCapHeartbeat},
      Need{!options.psks.empty(), "--psk", kSpdmCapPsk | kSpdmCapPskWithContext},
      Need{!options.measurements.empty(), "--measurement", kAnyMeasurement | kSpdmCapMel},
      Need{!options.measurement_opaque.empty(), "--measurement-opaque", kAnyMeasurement},
      Need{named.shared_chain, "--chain", kAnyKey},
      Need{named.single_slots == 1, "--slot", kAnyKey},
      Need{named.single_slots > 1, "--slot", kSpdmCapCert},
      Need{options.slots.slots != SlotFill().slots, "--slots", kSpdmCapCert},
      Need{options.extended_capabilities != 0, "the capability SLOT_MGMT", kSpdmCapCert},
      Need{named.state_file, "a file of negotiated state", kSpdmCapCache},
      Need{options.defer, "--defer",
           kSpdmCapChal | kSpdmCapMeasSig | kSpdmCapKeyEx | kSpdmCapCsr | kSpdmCapEndpointInfoSig},
      Need{options.cxl && !accepts(options, is_of_cxl), "--cxl", kAnySession},
      Need{options.ide_port != 0 && !query_in_the_clear, "--ide-port", kAnySession},
      Need{!options.ide_streams.empty() && !query_in_the_clear, "--ide-stream", kAnySession}};
  for (const Need& need : needs)
    if (auto why = why_unmet(need, flags); !why.empty()) return why;
  if (auto why = why_two_of_a_field(named.capabilities); !why.empty()) return why;
  if (const std::uint32_t idle = named.capabilities & ~flags; idle != 0)
    return fmt::format(
        "the capability {} is in no version that can be agreed on: see --versions "
        "and --transport",
        any_name(idle & ~(idle - 1)));
  for (auto why : {why_repeated(options), why_idle_version(options), why_idle_chain(options, named),
                   why_idle_capture(named), why_idle_algorithm(options, named, flags),
                   why_idle_fault(options, named, flags)})
    if (!why.empty()) return why;
  return {};
}

}  // namespace teeio::serve
