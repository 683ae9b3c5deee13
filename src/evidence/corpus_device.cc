#include "evidence/corpus_device.h"

#include "base/check.h"
#include "crypto/dice.h"
#include "crypto/random.h"
#include "spdm/requester.h"
#include "spdm/responder.h"
#include "spdm/suite.h"
#include "wire/spdm_measurements.h"
#include "wire/tdisp_report.h"

namespace teeio::evidence {
namespace {

using wire::SpdmMeasurementType;

spdm::Measurement block(std::uint8_t index, SpdmMeasurementType type, bool raw, Bytes value) {
  return {.index = index, .type = std::to_underlying(type), .raw = raw, .value = std::move(value)};
}

/// Carries what the requester has queued to the responder, until nothing is left.
void carry(spdm::Requester& requester, spdm::Responder& responder) {
  while (const spdm::Message* request = requester.request()) {
    auto step = responder.receive(spdm::view(*request));
    const auto* answer = std::get_if<spdm::Message>(&step);
    TEEIO_CHECK(answer != nullptr, "a device of the corpus does not answer");
    const auto taken = requester.take(spdm::view(*answer));
    TEEIO_CHECK(taken.has_value(), "a device of the corpus answers wrongly");
  }
  TEEIO_CHECK(!requester.failure(), "a device of the corpus lacks what is asked for");
}

/// What both said, in the clear.
class Transcript final : public spdm::Observer {
 public:
  void received(std::uint32_t /*session*/, ByteView spdm) override { add(spdm); }
  void sent(std::uint32_t /*session*/, ByteView spdm) override { add(spdm); }
  /// The messages of these codes, in the order in which they were said.
  [[nodiscard]] Bytes of(std::initializer_list<wire::SpdmCode> codes) const {
    Writer out;
    for (const Bytes& message : said_)
      for (const wire::SpdmCode code : codes)
        if (message.at(1) == static_cast<std::byte>(code)) out.bytes(message);
    return out.take();
  }

 private:
  void add(ByteView spdm) { said_.emplace_back(spdm.begin(), spdm.end()); }
  std::vector<Bytes> said_;
};

/// A device that is given another firmware once it was asked.
class Device final : public spdm::MeasurementSource {
 public:
  explicit Device(DeviceState state) : state_(std::move(state)) {}
  [[nodiscard]] std::vector<spdm::Measurement> measurements() override {
    auto now = measurements_of(state_);
    if (!state_.next_firmware.empty()) state_.firmware = state_.next_firmware;
    return now;
  }

 private:
  DeviceState state_;
};

std::vector<std::uint8_t> versions_up_to(std::uint8_t version) {
  std::vector<std::uint8_t> versions;
  for (const std::uint8_t one : spdm::all_versions())
    if (one <= version) versions.push_back(one);
  return versions;
}

Bytes der(std::uint8_t tag, ByteView contents) {
  TEEIO_CHECK(contents.size() < 0x80, "the corpus has short DER only");
  return Writer().le(tag).le(static_cast<std::uint8_t>(contents.size())).bytes(contents).take();
}
Bytes joined(std::initializer_list<Bytes> parts) {
  Writer out;
  for (const Bytes& part : parts) out.bytes(part);
  return out.take();
}
Bytes octets(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

}  // namespace

Nonce nonce_of(unsigned byte) {
  Nonce nonce;
  nonce.fill(static_cast<std::byte>(byte));
  return nonce;
}

Bytes bytes_of_text(std::string_view text) {
  const ByteView view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

std::vector<spdm::Measurement> measurements_of(const DeviceState& state) {
  std::vector<spdm::Measurement> blocks = {
      block(1, SpdmMeasurementType::kImmutableRom, false, bytes_of_text("corpus boot ROM 1.0"))};
  if (state.has_firmware_block)
    blocks.push_back(
        block(2, SpdmMeasurementType::kMutableFirmware, false, bytes_of_text(state.firmware)));
  blocks.push_back(
      block(3, SpdmMeasurementType::kHardwareConfiguration, true, octets({0x01, 0x00, 0x80})));
  blocks.push_back(block(6, SpdmMeasurementType::kVersion, true, bytes_of_text("2.1")));
  blocks.push_back(
      block(7, SpdmMeasurementType::kSecureVersionNumber, true, Writer().le(state.svn).take()));
  constexpr std::uint32_t kNormal = 1U << 2U;
  constexpr std::uint32_t kAllDebugging = 0x1f;
  const auto mode = [](std::uint8_t index, std::uint32_t debug) {
    return block(index, SpdmMeasurementType::kDeviceMode, true,
                 Writer().le(kNormal).le(kNormal).le(kAllDebugging).le(debug).take());
  };
  if (state.has_sound_part) blocks.push_back(mode(9, 0));
  blocks.push_back(mode(wire::kSpdmDeviceModeIndex, state.debug));
  return blocks;
}

Bundle prove(const crypto::Identity& identity, const DeviceState& state, const Asking& asking) {
  Device measured(state);
  spdm::FixedCredentials credentials(identity);
  spdm::ResponderConfig device;
  device.credentials = &credentials;
  device.measurements = &measured;
  spdm::RequesterConfig relying;
  relying.settings.versions = versions_up_to(asking.version);
  const bool p256 = identity.key.type() == crypto::KeyType::kP256;
  relying.settings.algorithms = p256 ? spdm::Algorithms::p256() : spdm::Algorithms::cnsa();
  device.settings.algorithms = relying.settings.algorithms;
  Transcript said;
  relying.observer = &said;
  relying.trust_anchors = {identity.chain.first()};
  spdm::Requester requester(std::move(relying));
  spdm::Responder responder(std::move(device));
  requester.connect();
  carry(requester, responder);
  requester.get_certificates(0);
  for (const std::uint8_t index : asking.indices)
    requester.measure({.index = index,
                       .sign = asking.sign && index == asking.indices.back(),
                       .raw = false,
                       .nonce = asking.nonce});
  carry(requester, responder);
  using enum wire::SpdmCode;
  const Bytes agreement = said.of(
      {kGetVersion, kVersion, kGetCapabilities, kCapabilities, kNegotiateAlgorithms, kAlgorithms});
  Bundle bundle;
  if (asking.version < wire::kSpdmVersion12) bundle.vca = agreement;
  const spdm::MeasurementRecord& record = requester.measurement_record();
  bundle.object = spdm::encode_evidence(
      {.chain = requester.peer_chain(0)->chain,
       .nonce = asking.nonce,
       .transcript = asking.sign ? record.transcript
                                 : joined({agreement, said.of({kGetMeasurements, kMeasurements})}),
       .signature = record.signature,
       .record = record.record});
  return bundle;
}

Bytes interface_report(bool open_to_host) {
  wire::TdispReport report;
  report.interface_info = wire::kInfoNoUpdateAfterLock | wire::kInfoDmaWithoutPasid;
  report.msix_message_control = 0x8003;
  const auto attributes = static_cast<std::uint16_t>(open_to_host ? wire::kMmioNonTeeMemory : 0);
  report.ranges = {
      {.first_page = 0x380000000, .pages = 16, .attributes = attributes, .range_id = 0},
      {.first_page = 0x380000100, .pages = 256, .attributes = 0, .range_id = 2},
      {.first_page = 0x380000200,
       .pages = 1,
       .attributes = wire::kMmioMsixTable | wire::kMmioMsixPba,
       .range_id = 4}};
  return report.encode();
}

Bytes dice_fwid() {
  const crypto::Digest digest =
      crypto::hash(crypto::HashAlgorithm::kSha384, bytes_of_text("corpus layer 1"));
  return {digest.view().begin(), digest.view().end()};
}

Bytes dice_tcb_info(std::uint8_t svn, std::uint8_t flags) {
  // 2.16.840.1.101.3.4.2.2: SHA-384.
  const Bytes sha384 = octets({0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02});
  const Bytes fwid = der(0x30, joined({der(0x06, sha384), der(0x04, dice_fwid())}));
  return der(0x30,
             joined({der(0x80, bytes_of_text("teeio")), der(0x81, bytes_of_text("corpus")),
                     der(0x82, bytes_of_text("2.1")), der(0x83, octets({svn})),
                     der(0x84, octets({1})), der(0xa6, fwid), der(0x87, octets({0, flags}))}));
}

Bytes dice_ueid() { return der(0x30, der(0x04, octets({0x01, 0xc0, 0xff, 0xee, 0x00, 0x01}))); }

crypto::LeafExtras device_named(std::string info) {
  return {.device_info = std::move(info), .extensions = {}};
}
crypto::LeafExtras with_dice(std::uint8_t svn, std::uint8_t flags) {
  crypto::LeafExtras extras = device_named("teeio:corpus:dice");
  extras.extensions = {{crypto::kOidDiceTcbInfo, dice_tcb_info(svn, flags)},
                       {crypto::kOidDiceUeid, dice_ueid()}};
  return extras;
}

}  // namespace teeio::evidence
