// Links: serve
// A served device with all that it can answer: packets of any transport, and, in a session that a
// real requester has opened, any SPDM request and any message of IDE_KM, TDISP, CXL's IDE_KM and
// TSP. Whatever it was told, it still answers GET_VERSION.
#include <array>

#include "crypto/random.h"
#include "fuzzer.h"
#include "machine/config.h"
#include "serve/served_device.h"
#include "spdm/framing.h"
#include "spdm/requester.h"
#include "wire/cxl.h"
#include "wire/spdm.h"
#include "wire/spdm_capabilities.h"

namespace teeio::fuzz {
namespace {

using serve::PlatformTransport;

constexpr unsigned kMaxSteps = 32;

class NoKeyLog final : public serve::KeyLog {
 public:
  [[nodiscard]] bool wanted() const override { return false; }
  void line(const std::string& /*text*/) override {}
};

const machine::CardConfig& card() {
  static const machine::Config kMachine = *machine::find_config("tdx-connect");
  return kMachine.cards.front();
}

serve::SpeakerOptions everything() {
  serve::SpeakerOptions options;
  options.mutual_auth = spdm::MutualAuth::kOptional;
  options.psks = {{Bytes(4), Bytes(16)}};
  options.heartbeat_s = 2;
  options.capabilities = spdm::default_responder_flags() | wire::kSpdmCapMutAuth |
                         wire::kSpdmCapEncap | wire::kSpdmCapCsr | wire::kSpdmCapSetCert |
                         wire::kSpdmCapEvent | wire::kSpdmCapGetKeyPairInfo |
                         wire::kSpdmCapSetKeyPairInfo | wire::kSpdmCapEndpointInfoSig |
                         wire::kSpdmCapMultiKeyNegotiated;
  options.extended_capabilities = wire::kSpdmExtendedCapSlotManagement;
  options.algorithms = {"ECDSA-P256", "SHA-256", "SECP256R1", "AES-128-GCM"};
  options.slots.slots = 2;
  options.cxl = true;
  options.cxl_generates = true;
  options.cxl_ports = 3;
  options.ide_port = 1;
  return options;
}

struct Pair {
  explicit Pair(std::uint8_t version) : device(card(), options, log), requester(config(version)) {}

  static spdm::RequesterConfig config(std::uint8_t version) {
    spdm::RequesterConfig config;
    config.settings.versions = {version};
    config.settings.algorithms = spdm::Algorithms::p256();
    return config;
  }
  /// The requester says what it has queued.
  void run() {
    for (unsigned i = 0; i < kMaxSteps; ++i) {
      const spdm::Message* const request = requester.request();
      if (request == nullptr) return;
      const Bytes packet = spdm::wrap(spdm::Transport::kPciDoe, view(*request));
      const Bytes answer = device.answer(PlatformTransport::kPciDoe, packet);
      const auto message = spdm::unwrap(spdm::Transport::kPciDoe, answer);
      if (!message || !requester.take(*message)) break;
    }
    requester.cancel();
  }

  NoKeyLog log;
  const serve::SpeakerOptions options = everything();
  serve::ServedDevice device;
  spdm::Requester requester;
};

enum class Step : std::uint8_t { kPacket, kSpdm, kPciSig, kCxl, kTdisp, kTime, kReset, kAnother };

void take(Pair& pair, Step step, ByteView bytes, std::uint8_t more) {
  const auto session = pair.requester.last_session();
  const bool inside = session && pair.requester.has_session(*session);
  const auto app = [&](std::uint16_t vendor) {
    if (!inside) return;
    const Bytes id = Writer().le(vendor).take();
    pair.requester.send_app(*session, 3, id, bytes);
    pair.run();
  };
  switch (step) {
    case Step::kPacket:
      (void)pair.device.answer(PlatformTransport{static_cast<std::uint8_t>(more % 4)}, bytes);
      break;
    case Step::kSpdm:
      pair.requester.send_raw(inside ? *session : spdm::kNoSession,
                              Bytes(bytes.begin(), bytes.end()));
      pair.run();
      break;
    case Step::kPciSig:
      return app(1);
    case Step::kCxl:
      return app(wire::cxl::kVendorId);
    case Step::kTdisp:
      (void)pair.device.answer_tdisp(bytes);
      break;
    case Step::kTime:
      pair.device.pass_time(more);
      break;
    case Step::kReset:
      pair.device.reset();
      break;
    case Step::kAnother:
      pair.requester.open_session({.slot = static_cast<std::uint8_t>(more % 2)});
      pair.run();
      break;
  }
}

}  // namespace

/// The SPDM version; then steps, each with a number, a length and bytes.
void run(ByteView input) {
  const crypto::SeededRandom seeded(1);
  Reader reader(input);
  Pair pair(static_cast<std::uint8_t>(0x10 + reader.le<std::uint8_t>() % 5));
  pair.requester.connect();
  pair.requester.get_certificates(0);
  pair.requester.open_session({});
  pair.run();
  for (unsigned i = 0; i < kMaxSteps && reader.ok() && !reader.rest().empty(); ++i) {
    const Step step{static_cast<std::uint8_t>(reader.le<std::uint8_t>() % 8)};
    const auto more = reader.le<std::uint8_t>();
    take(pair, step, reader.take(reader.le<std::uint16_t>()), more);
  }
  const Bytes asked = wire::encode_spdm_get_version();
  const Bytes answer = pair.device.answer(PlatformTransport::kPciDoe,
                                          spdm::wrap(spdm::Transport::kPciDoe, {false, asked}));
  const auto message = spdm::unwrap(spdm::Transport::kPciDoe, answer);
  TEEIO_CHECK(message && wire::SpdmVersionResponse::decode(message->bytes),
              "a device always answers GET_VERSION");
}

}  // namespace teeio::fuzz
