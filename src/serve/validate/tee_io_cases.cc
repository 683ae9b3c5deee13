// What PCI-SIG requires of the SPDM of every TEE-IO device. Source: intel/tee-io-validator
// doc/spdm_test/spdm_test.md, items 1 to 4. Asked for by name alone: not every responder is one.

#include <algorithm>
#include <string_view>

#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::serve::validate {
namespace {

struct Required {
  std::uint32_t flag;
  std::string_view name;
};
constexpr Required kRequired[] = {{wire::kSpdmCapCert, "CERT_CAP"},
                                  {wire::kSpdmCapMeasSig, "MEAS_CAP=10b"},
                                  {wire::kSpdmCapEncrypt, "ENCRYPT_CAP"},
                                  {wire::kSpdmCapMac, "MAC_CAP"},
                                  {wire::kSpdmCapKeyEx, "KEY_EX_CAP"}};

Verdict has_version(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const Reply reply = raw_version(link);
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto versions = wire::SpdmVersionResponse::decode(reply.bytes);
  TEEIO_CASE(versions.has_value(), "VERSION: {}", versions.error().why);
  TEEIO_CASE(std::ranges::any_of(versions->versions,
                                 [](std::uint8_t one) { return one >= wire::kSpdmVersion12; }),
             "no version from 1.2 on is listed");
  return passed();
}

Verdict has_capabilities(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  for (const Required& one : kRequired)
    TEEIO_CASE(has_flag(link, one.flag), "{} is not set", one.name);
  return passed();
}

/// After ALGORITHMS, with a requester that has nothing but what is required.
std::expected<Link, Verdict> plain_requester(Bench& bench) {
  return bench.negotiated(bench.tee_io_link());
}

Verdict agrees_on_algorithms(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, plain_requester(bench));
  const spdm::Algorithms chosen = link.requester().negotiated()->algorithms;
  constexpr std::uint32_t kMeasurementHashes =
      std::to_underlying(wire::SpdmMeasurementHash::kSha256) |
      std::to_underlying(wire::SpdmMeasurementHash::kSha384);
  TEEIO_CASE(chosen.base_asym != 0, "no BaseAsymAlgo is selected");
  TEEIO_CASE(chosen.base_hash != 0, "no BaseHashAlgo is selected");
  TEEIO_CASE(chosen.dhe != 0, "no DHE group is selected");
  TEEIO_CASE(chosen.aead != 0, "no AEADCipherSuite is selected");
  TEEIO_CASE(chosen.key_schedule == wire::kSpdmKeyScheduleHmac, "no KeySchedule is selected");
  TEEIO_CASE((chosen.other_params & wire::kSpdmOpaqueFormat1) != 0,
             "OpaqueDataFmt1 is not selected");
  TEEIO_CASE(chosen.measurement_specification, "MeasurementSpecification is not DMTF's");
  TEEIO_CASE((chosen.measurement_hash & kMeasurementHashes) != 0,
             "MeasurementHashAlgo is {:#x}, neither SHA-256 nor SHA-384", chosen.measurement_hash);
  return passed();
}

Verdict answers(Bench& bench) {
  auto made = bench.with_signer(plain_requester(bench));
  TEEIO_CASE_ASSIGN(Session session, bench.session(std::move(made)));
  spdm::Requester& requester = session.link().requester();
  spdm::MeasurementsWanted wanted;
  wanted.session = session.id();
  wanted.slot = signing_slot(session.link());
  requester.measure(wanted);
  Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "GET_MEASUREMENTS: {} came", reply.str());
  TEEIO_CASE(!requester.measurement_record().signature.empty(), "MEASUREMENTS has no signature");
  requester.end_session(session.id());
  reply = session.link().run();
  TEEIO_CASE(reply.answered(), "END_SESSION: {} came", reply.str());
  return passed();
}

constexpr Case kTeeIoCases[] = {
    {"version", "VERSION lists 1.2 or above", "tee-io-validator spdm_test 1", has_version},
    {"capabilities", "CERT_CAP, MEAS_CAP=10b, ENCRYPT_CAP, MAC_CAP and KEY_EX_CAP are set",
     "tee-io-validator spdm_test 2", has_capabilities},
    {"algorithms", "A requester that has only PCI-SIG's algorithms meets one of each kind",
     "tee-io-validator spdm_test 3", agrees_on_algorithms},
    {"messages",
     "Such a requester gets certificates, a session, signed measurements in it, and its end",
     "tee-io-validator spdm_test 4", answers},
};

}  // namespace

std::span<const Case> tee_io_cases() { return kTeeIoCases; }

}  // namespace teeio::serve::validate
