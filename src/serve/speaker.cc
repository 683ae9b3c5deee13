#include "serve/speaker.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "device/attester.h"
#include "serve/ide_ports.h"
#include "serve/knobs.h"
#include "wire/cxl.h"
#include "wire/doe.h"
#include "wire/key_log.h"
#include "wire/spdm_error.h"

namespace teeio::serve {
namespace {

using wire::DoeType;

/// What discovery lists, in order of index. Source: PCIe Base Spec 6.30.1.1.
constexpr std::array kDoeTypes{DoeType::kDiscovery, DoeType::kSpdm, DoeType::kSecuredSpdm};
constexpr std::uint16_t kNoVendor = 0xffff;
constexpr std::array kPciSig{std::byte{1}, std::byte{0}};
constexpr std::array kCxl{std::byte{wire::cxl::kVendorId & 0xff},
                          std::byte{wire::cxl::kVendorId >> 8U}};
/// What an SPDM message may have at most: a requester's certificate chain needs no chunks then,
/// and memory follows what comes.
constexpr std::uint32_t kMaxMessage = 0x10000;

/// All of PLDM that there is here: GetTID, which MCTP requesters ask a device first.
/// Source: DSP0240 1.1, tables 1 (header), 8 and 11.
std::optional<Bytes> answer_pldm(ByteView message) {
  constexpr std::array kRequest{std::byte{1}, std::byte{0x80}, std::byte{0}, std::byte{2}};
  constexpr std::size_t kInstance = 1;  // its five low bits are the requester's
  if (message.size() < kRequest.size()) return std::nullopt;
  Bytes answer(message.begin(), message.begin() + kRequest.size());
  const std::byte instance =
      std::exchange(answer[kInstance], kRequest[kInstance]) & std::byte{0x1f};
  if (!std::ranges::equal(answer, kRequest)) return std::nullopt;
  answer[kInstance] = instance;
  answer.insert(answer.end(), {std::byte{0}, std::byte{1}});  // success, terminus ID 1
  return answer;
}

bool has_given_chain(const SlotFill& slots) {
  return slots.shared != nullptr ||
         std::ranges::any_of(slots.single, [](const auto* one) { return one != nullptr; });
}

/// EndpointInfo of device class identifiers: one, by PCI-SIG, the function's vendor and class.
/// Source: DSP0274 1.3, "ENDPOINT_INFO"; libspdm include/industry_standard/spdm.h,
/// spdm_endpoint_info_device_class_identifier_t and its elements.
Bytes endpoint_info(hw::PciFunction& pf) {
  constexpr std::uint16_t kClassAt = 0x08;  // revision below, class code above
  Writer element;
  element.le(static_cast<std::uint8_t>(wire::VendorDefined::kPciSigStandardId))
      .le(std::uint8_t{2})
      .le(static_cast<std::uint16_t>(pf.config_read(0, 2)))
      .le(std::uint8_t{1})  // subordinate IDs
      .le(std::uint8_t{3});
  const std::uint32_t code = pf.config_read(kClassAt, 4) >> 8U;
  for (const unsigned shift : {0U, 8U, 16U}) element.le(static_cast<std::uint8_t>(code >> shift));
  const Bytes inside = element.take();
  return Writer()
      .le(std::uint8_t{1})
      .zeros(3)
      .le(static_cast<std::uint8_t>(inside.size()))
      .bytes(inside)
      .take();
}

spdm::Transport spdm_transport(PlatformTransport transport) {
  switch (transport) {
    case PlatformTransport::kNone:
      return spdm::Transport::kNone;
    case PlatformTransport::kMctp:
      return spdm::Transport::kMctp;
    case PlatformTransport::kPciDoe:
      return spdm::Transport::kPciDoe;
    case PlatformTransport::kTcp:
      return spdm::Transport::kTcp;
  }
  std::unreachable();
}

}  // namespace

Speaker::Speaker(device::DsmMessages& card, hw::PciFunction& pf, Slots& slots,
                 PlatformTransport transport, const SpeakerOptions& options, KeyLog& key_log)
    : card_(card),
      transport_(transport),
      ide_port_(options.ide_port),
      key_log_(key_log),
      cxl_(options.cxl
               ? std::optional<CxlMemory>(std::in_place, options.cxl_generates, options.cxl_ports)
               : std::nullopt),
      slots_(slots),
      measurements_(card.attester(), options.measurements),
      faults_(options.faults),
      responder_(config_for(options, pf)) {}

Speaker::~Speaker() = default;

spdm::ResponderConfig Speaker::config_for(const SpeakerOptions& options, hw::PciFunction& pf) {
  spdm::ResponderConfig config;
  config.settings.transport = spdm_transport(transport_);
  config.settings.algorithms = available_algorithms(has_given_chain(options.slots));
  config.settings.max_message_size = kMaxMessage;
  config.settings.versions = options.versions;
  config.settings.flags = options.capabilities;
  config.settings.extended_flags = options.extended_capabilities;
  config.settings.data_transfer_size = options.data_transfer_size;
  config.credentials = &slots_;
  config.provisioning = &slots_;
  if (!options.faults.empty()) config.tamper = &faults_;
  config.endpoint_info = endpoint_info(pf);
  // The words were looked at when the options were read.
  if (auto chosen = parse_algorithms(config.settings.algorithms, options.algorithms))
    config.settings.algorithms = *chosen;
  config.settings.algorithms = with_post_quantum(config.settings.algorithms, options.post_quantum);
  config.measurements = &measurements_;
  config.observer = this;
  config.psks = options.psks;
  config.mutual_auth = options.mutual_auth.value_or(spdm::MutualAuth::kNever);
  config.reuses_requester_chain = options.reuses_requester_chain;
  config.requester_key = options.requester_key;
  config.heartbeat_period_s = options.heartbeat_s;
  config.measurement_opaque = options.measurement_opaque;
  config.secured_versions = options.secured_versions;
  config.defer_signatures = options.defer;
  return config;
}

Bytes Speaker::answer(ByteView packet) {
  bool refused = false;
  Bytes answer = speak(packet, refused);
  return faults_.carry(std::move(answer), refused);
}

Bytes Speaker::speak(ByteView packet, bool& refused) {
  if (transport_ == PlatformTransport::kPciDoe)
    if (auto discovery = answer_discovery(packet)) {
      faults_.change_discovery(*discovery);
      return std::move(*discovery);
    }
  const spdm::Transport transport = spdm_transport(transport_);
  const auto message = spdm::unwrap(transport, packet);
  if (!message) return {};
  undecrypted_ = false;
  spdm::Responder::Step step = responder_.receive(*message);
  std::optional<spdm::Message> out;
  if (auto* answer = std::get_if<spdm::Message>(&step)) out = std::move(*answer);
  if (const auto* app = std::get_if<spdm::AppRequest>(&step)) out = answer_app(*app);
  refused = message->secured && (!out || !out->secured || undecrypted_);
  return out ? spdm::wrap(transport, spdm::view(*out)) : Bytes{};
}

/// nullopt: it is no discovery. Empty: it is, and makes no sense.
std::optional<Bytes> Speaker::answer_discovery(ByteView packet) const {
  const auto doe = wire::DoeObject::decode(packet);
  if (!doe || doe->vendor_id != wire::kPciSigVendorId ||
      doe->type != std::to_underlying(DoeType::kDiscovery))
    return std::nullopt;
  const auto request = wire::DoeDiscoveryRequest::decode(doe->payload);
  if (!request) return Bytes{};
  wire::DoeDiscoveryResponse response{kNoVendor, 0, 0};
  if (request->index < kDoeTypes.size()) {
    const auto next = static_cast<std::uint8_t>(request->index + 1);
    response = {wire::kPciSigVendorId, std::to_underlying(kDoeTypes.at(request->index)),
                next < kDoeTypes.size() ? next : std::uint8_t{0}};
  }
  const Bytes payload = response.encode();
  return wire::DoeObject{wire::kPciSigVendorId, doe->type, payload}.encode();
}

std::optional<spdm::Message> Speaker::answer_app(const spdm::AppRequest& request) {
  const auto refuse = [&](wire::SpdmErrorCode code) {
    return responder_.refuse(std::to_underlying(code));
  };
  if (request.kind == spdm::AppRequest::Kind::kMctp) {
    const auto answer = answer_pldm(request.payload);
    return answer ? responder_.answer(*answer) : refuse(wire::SpdmErrorCode::kUnsupportedRequest);
  }
  const bool pci = std::ranges::equal(request.vendor_id, kPciSig);
  const bool cxl = cxl_ && std::ranges::equal(request.vendor_id, kCxl);
  if (request.standard_id != wire::VendorDefined::kPciSigStandardId || (!pci && !cxl))
    return refuse(wire::SpdmErrorCode::kUnsupportedRequest);
  const auto vendor = cxl ? Faults::Vendor::kCxl : Faults::Vendor::kPciSig;
  // Keys and TDIs are for secured sessions only. Source: PCIe Base Spec 6.33.3, 11.3.
  if (request.session == spdm::kNoSession && !faults_.accepts_app(vendor, request.payload))
    return refuse(wire::SpdmErrorCode::kUnexpectedRequest);
  if (const auto code = faults_.refuses_app(vendor, request.payload))
    return responder_.refuse(*code);
  auto answer = cxl ? cxl_->answer(request.payload) : answer_pci(request.payload, request.session);
  faults_.change_app(vendor, request.payload, answer);
  return answer ? responder_.answer(*answer) : refuse(wire::SpdmErrorCode::kInvalidRequest);
}

std::optional<Bytes> Speaker::answer_pci(ByteView payload, std::uint32_t session) {
  if (payload.empty()) return std::nullopt;
  const wire::Protocol protocol{std::to_integer<std::uint8_t>(payload.front())};
  const ByteView message = payload.subspan(1);
  std::optional<Bytes> answer;
  if (protocol == wire::Protocol::kIdeKm)
    answer = IdePorts(card_, ide_port_).answer(message, session);
  if (protocol == wire::Protocol::kTdisp) answer = card_.answer_message(protocol, message, session);
  if (!answer) return std::nullopt;
  return Writer().le(std::to_underlying(protocol)).bytes(*answer).take();
}

void Speaker::reset() {
  responder_.reset();
  if (cxl_) cxl_->reset();
}

void Speaker::want_encapsulated(PlatformCommand command, ByteView payload) {
  const bool update = command == PlatformCommand::kEncapKeyUpdate;
  Reader reader(payload);
  const auto session = payload.empty() ? spdm::kNoSession : reader.le<std::uint32_t>();
  // Whether there is something to ask shows in the answer to GET_ENCAPSULATED_REQUEST.
  (void)responder_.start_encapsulated(update ? spdm::Responder::Encapsulated::kKeyUpdate
                                             : spdm::Responder::Encapsulated::kEndpointInfo,
                                      session);
}

void Speaker::sent(std::uint32_t /*session*/, ByteView spdm) {
  const auto error = wire::SpdmError::decode(spdm);
  undecrypted_ = error && error->code == std::to_underlying(wire::SpdmErrorCode::kDecryptError);
}

void Speaker::keys(const wire::KeyLogLine& line) { key_log_.line(line.text()); }

void Speaker::session_ended(std::uint32_t session, spdm::SessionEnd /*reason*/) {
  card_.session_ended(session);
  if (cxl_) cxl_->session_ended();
}

}  // namespace teeio::serve
