// What SPDM 1.2 and 1.3 added for whoever gives a device its identity: certification requests,
// certificates, key pairs, endpoint information.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "crypto/csr.h"
#include "serve/validate/bench.h"
#include "serve/validate/provisioning.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_events.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

// --- certification requests and certificates ---------------------------------------

Bytes get_csr(const Ready& ready, ByteView info) {
  wire::SpdmGetCsr request;
  request.version = ready.agreed.version;
  // DSP0274 1.3, GET_CSR: both fields are zero unless the connection has several keys.
  request.key_pair = ready.key_pair;
  request.cert_model = ready.cert_model;
  request.requester_info = info;
  return request.encode();
}

Verdict csr(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapCsr, "CSR_CAP"));
  const Reply reply = ready.link.raw(get_csr(ready, {}));
  if (reply.is_error(SpdmErrorCode::kResetRequired)) return skipped("it wants a reset first");
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto answer = wire::SpdmCsr::decode(reply.bytes);
  TEEIO_CASE(answer.has_value(), "CSR: {}", answer.error().why);
  const auto good = crypto::verify_certification_request(answer->csr, ready.leaf().public_key());
  TEEIO_CASE(good.has_value(), "CSR: {}", good.error().why);
  return passed();
}

Verdict csr_nonsense(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapCsr, "CSR_CAP"));
  const Reply reply = ready.link.raw(get_csr(ready, Bytes(7, std::byte{0x5a})));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Bytes set_certificate(const Ready& ready, ByteView chain) {
  wire::SpdmSetCertificate request;
  request.version = ready.agreed.version;
  request.chain = chain;
  request.key_pair = ready.key_pair;
  request.cert_model = ready.cert_model;
  return request.encode();
}

Verdict set_the_same(Bench& bench) {
  Bytes chain;
  {  // Its connection ends before the next one begins: a responder may serve one at a time.
    TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapSetCert, "SET_CERT_CAP"));
    chain = ready.link.requester().peer_chain(0)->chain;
    const Reply reply = ready.link.raw(set_certificate(ready, chain));
    if (reply.is_error(SpdmErrorCode::kResetRequired)) return skipped("it wants a reset first");
    TEEIO_CASE(reply.answered(), "{} came", reply.str());
    const auto answer = wire::SpdmSetCertificateRsp::decode(reply.bytes);
    TEEIO_CASE(answer && answer->slot == 0, "the answer is not of slot 0");
  }
  TEEIO_CASE_ASSIGN(Link again, bench.with_chain());
  TEEIO_CASE(again.requester().peer_chain(0)->chain == chain, "slot 0 has another chain now");
  return passed();
}

/// The leaf is gone: a chain, but not of the slot's key.
Verdict set_without_leaf(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapSetCert, "SET_CERT_CAP"));
  const Bytes& shown = ready.link.requester().peer_chain(0)->chain;
  const auto parsed = crypto::SpdmCertificateChain::parse(shown, *ready.suite.hash);
  const auto all = parsed->chain.certificates();
  if (all.size() < 2) return skipped("the chain is one certificate");
  const auto cut = crypto::CertificateChain::of({all.begin(), all.end() - 1});
  const Reply reply =
      ready.link.raw(set_certificate(ready, crypto::encode_spdm_chain(cut, *ready.suite.hash)));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict set_nonsense(Bench& bench) {
  {
    TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapSetCert, "SET_CERT_CAP"));
    Bytes chain = ready.link.requester().peer_chain(0)->chain;
    chain.at(chain.size() / 2) ^= std::byte{0xff};
    chain.back() ^= std::byte{0xff};
    const Reply reply = ready.link.raw(set_certificate(ready, chain));
    TEEIO_CASE(reply.refused(), "{} came", reply.str());
  }
  TEEIO_CASE_ASSIGN(Link again, bench.with_chain());
  return passed();
}

Verdict multi_key_digests(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready,
                    ready_for(bench, wire::kSpdmCapMultiKeyOnly | wire::kSpdmCapMultiKeyNegotiated,
                              "MULTI_KEY_CAP"));
  if (!ready.multi_key) return skipped("the connection has one key");
  const Reply reply = ready.link.raw(raw_spdm(ready.agreed.version, SpdmCode::kGetDigests));
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  wire::SpdmSizes sizes;
  sizes.hash = ready.suite.hash_size();
  sizes.multi_key = true;
  const auto digests = wire::SpdmDigests::decode(reply.bytes, sizes);
  TEEIO_CASE(digests.has_value(), "DIGESTS: {}", digests.error().why);
  TEEIO_CASE(std::ranges::find(digests->key_pairs, std::byte{0}) == digests->key_pairs.end(),
             "a slot's key pair is 0");
  return passed();
}

// --- endpoint information -----------------------------------------------------------

constexpr std::uint32_t kAnyInfo = wire::kSpdmCapEndpointInfoNoSig | wire::kSpdmCapEndpointInfoSig;

Verdict endpoint_info(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, kAnyInfo, "EP_INFO_CAP"));
  wire::SpdmGetEndpointInfo request;
  request.version = ready.agreed.version;
  const Reply reply = ready.link.raw(request.encode());
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto info = wire::SpdmEndpointInfo::decode(reply.bytes, {});
  TEEIO_CASE(info.has_value(), "ENDPOINT_INFO: {}", info.error().why);
  TEEIO_CASE(info->info.size() >= 4 && info->info.front() != std::byte{0},
             "it has no device class identifier");
  return passed();
}

/// Message A: the six messages of the negotiation, without what a transport padded.
std::optional<Bytes> message_a(Link& link) {
  Writer out;
  for (const SpdmCode code :
       {SpdmCode::kGetVersion, SpdmCode::kVersion, SpdmCode::kGetCapabilities,
        SpdmCode::kCapabilities, SpdmCode::kNegotiateAlgorithms, SpdmCode::kAlgorithms}) {
    const Bytes* const message = link.heard().last(code);
    if (message == nullptr) return std::nullopt;
    ByteView whole = *message;
    if (code == SpdmCode::kVersion) {
      const auto version = wire::SpdmVersionResponse::decode(whole);
      if (!version) return std::nullopt;
      whole = version->wire;
    }
    out.bytes(whole);
  }
  return out.take();
}

Verdict endpoint_info_signed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready,
                    ready_for(bench, wire::kSpdmCapEndpointInfoSig, "EP_INFO_CAP's signature"));
  wire::SpdmGetEndpointInfo request;
  request.version = ready.agreed.version;
  request.sign = true;
  request.nonce.fill(std::byte{0xa7});
  const Bytes asked = request.encode();
  const Reply reply = ready.link.raw(asked);
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  wire::SpdmSizes sizes;
  sizes.signature = ready.suite.signature_size();
  const auto info = wire::SpdmEndpointInfo::decode(reply.bytes, sizes);
  TEEIO_CASE(info.has_value() && info->signature.size() == sizes.signature, "no signature came");
  const auto before = message_a(ready.link);
  TEEIO_CASE(before.has_value(), "the negotiation was not heard");
  crypto::RunningHash transcript(*ready.suite.hash);
  transcript.update(*before).update(asked).update(
      info->wire.first(info->wire.size() - sizes.signature));
  const auto good = ready.leaf().public_key().verify_spdm(
      {ready.agreed.version, crypto::SigningPurpose::kResponderEndpointInfo, *ready.suite.asym,
       *ready.suite.hash},
      transcript.digest(), info->signature);
  TEEIO_CASE(good.has_value(), "ENDPOINT_INFO's signature is wrong");
  return passed();
}

constexpr Case kProvisioningCases[] = {
    {"csr", "CSR is a certification request of slot 0's key, signed by it",
     "DSP0274 1.2, CSR; RFC 2986", csr},
    {"csr.nonsense", "RequesterInfo that is no CertificationRequestInfo is refused",
     "DSP0274 1.2, GET_CSR", csr_nonsense},
    {"set.same", "SET_CERTIFICATE takes the chain that slot 0 has, which stays",
     "DSP0274 1.2, SET_CERTIFICATE", set_the_same},
    {"set.other", "A chain of another key than the slot's is refused",
     "DSP0274 1.2, SET_CERTIFICATE", set_without_leaf},
    {"set.nonsense", "A chain that is damaged is refused, and slot 0 keeps its own",
     "DSP0274 1.2, SET_CERTIFICATE", set_nonsense},
    {"key_pairs", "KEY_PAIR_INFO tells each pair, and pairs that do not exist are refused",
     "DSP0274 1.3, KEY_PAIR_INFO", key_pairs},
    {"key_pairs.usage", "What a key pair is used for can be changed and changed back",
     "DSP0274 1.3, SET_KEY_PAIR_INFO", key_pair_usage},
    {"key_pairs.spare", "A key pair that no slot has can be erased and made anew",
     "DSP0274 1.3, SET_KEY_PAIR_INFO", spare_key_pair},
    {"key_pairs.nonsense",
     "SET_KEY_PAIR_INFO of pairs, operations and uses that do not exist is refused",
     "DSP0274 1.3, SET_KEY_PAIR_INFO", set_key_pair_nonsense},
    {"multi_key", "DIGESTS of a multi-key connection has each slot's key pair",
     "DSP0274 1.3, DIGESTS", multi_key_digests},
    {"slots", "SupportedSubCodes has what is mandatory, and banks are numbered from 0",
     "DSP0274 1.4, SLOT_MANAGEMENT", slot_banks},
    {"slots.details", "One bank is selected, and its slots are those of DIGESTS and CERTIFICATE",
     "DSP0274 1.4, SLOT_MANAGEMENT", slot_details},
    {"slots.nonsense",
     "Subcodes, banks, slots and structures of SLOT_MANAGEMENT that do not exist are refused",
     "DSP0274 1.4, SLOT_MANAGEMENT", slot_nonsense},
    {"slots.absent", "Without SLOT_MGMT_CAP SLOT_MANAGEMENT gets UnsupportedRequest",
     "DSP0274 1.4, CAPABILITIES", slots_absent},
    {"endpoint_info", "ENDPOINT_INFO has a device class identifier", "DSP0274 1.3, ENDPOINT_INFO",
     endpoint_info},
    {"endpoint_info.signed", "ENDPOINT_INFO's signature covers the negotiation and the answer",
     "DSP0274 1.3, ENDPOINT_INFO", endpoint_info_signed},
};

/// The key pair and the certificate model of slot 0, by DIGESTS.
std::pair<std::uint8_t, std::uint8_t> pair_of_slot_0(Link& link, const spdm::Suite& suite) {
  constexpr std::uint8_t kModel = 7;  // bits 2:0 of CertificateInfo
  constexpr std::uint8_t kDeviceCert = 1;
  const Bytes* const heard = link.heard().last(SpdmCode::kDigests);
  wire::SpdmSizes sizes;
  sizes.hash = suite.hash_size();
  sizes.multi_key = true;
  const auto digests = heard != nullptr ? wire::SpdmDigests::decode(*heard, sizes)
                                        : fail(Errno::kInval, "DIGESTS did not come");
  if (!digests || (digests->provisioned & 1U) == 0) return {1, kDeviceCert};
  const std::uint8_t model = std::to_integer<std::uint8_t>(digests->cert_models.front()) & kModel;
  return {std::to_integer<std::uint8_t>(digests->key_pairs.front()),
          model != 0 ? model : kDeviceCert};
}

}  // namespace

SlotNames names_of_slot_0(Link& link) {
  const auto agreed = link.requester().negotiated();
  const Bytes* const offered = link.heard().last(SpdmCode::kNegotiateAlgorithms);
  const auto offer = offered != nullptr ? wire::SpdmNegotiateAlgorithms::decode(*offered)
                                        : fail(Errno::kInval, "nothing was offered");
  SlotNames names;
  names.multi_key = agreed && agreed->version >= wire::kSpdmVersion13 && offer &&
                    (offer->offer.other_params & wire::kSpdmMultiKeyConn) != 0;
  if (names.multi_key)
    std::tie(names.key_pair, names.cert_model) =
        pair_of_slot_0(link, spdm::Suite::of(agreed->algorithms));
  return names;
}

std::expected<Ready, Verdict> ready_for(Bench& bench, std::uint32_t flags, const char* word) {
  auto link = bench.with_chain();
  if (!link) return std::unexpected(link.error());
  const auto agreed = link->requester().negotiated();
  if (!agreed || (agreed->peer_flags & flags) == 0)
    return std::unexpected(skipped(fmt::format("{} is not set", word)));
  const spdm::PeerChain* const chain = link->requester().peer_chain(0);
  const spdm::Suite suite = spdm::Suite::of(agreed->algorithms);
  if (chain == nullptr || !chain->verified || !suite.hash || !suite.asym)
    return std::unexpected(skipped("slot 0 has no chain"));
  const SlotNames names = names_of_slot_0(*link);
  return Ready{std::move(*link), *agreed, suite, names.multi_key, names.key_pair, names.cert_model};
}

std::span<const Case> provisioning_cases() { return kProvisioningCases; }

}  // namespace teeio::serve::validate
