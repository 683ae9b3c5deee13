#include "firmware/sev/attestation.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "crypto/issue.h"

namespace teeio::sev {
namespace {

// struct snp_report_req and MSG_REPORT_RSP's head; status codes are those of the firmware.
constexpr std::size_t kReportRequestSize = 96;
constexpr std::size_t kReportResponseHead = 32;
constexpr std::uint32_t kKeyVcek = 1;  ///< KEY_SEL: 0 chooses, 2 is the VLEK

/// An INTEGER of DER.
Bytes der_integer(std::uint8_t value) {
  constexpr std::uint8_t kTag = 2;
  Writer out;
  out.le(kTag);
  if (value < 0x80) return out.le(std::uint8_t{1}).le(value).take();
  return out.le(std::uint8_t{2}).le(std::uint8_t{0}).le(value).take();
}

/// An IA5String of DER.
Bytes der_text(std::string_view text) {
  constexpr std::uint8_t kTag = 0x16;
  return Writer()
      .le(kTag)
      .le(static_cast<std::uint8_t>(text.size()))
      .bytes(std::as_bytes(std::span(text)))
      .take();
}

/// Source: "VCEK certificate and KDS interface specification" (57230), 3.1.
crypto::LeafExtras vcek_extensions(const TcbVersion& tcb, const Chip::Id& chip) {
  const std::string amd = "1.3.6.1.4.1.3704.1.";
  return {.extensions = {{amd + "1", der_integer(0)},
                         {amd + "2", der_text("teeio-A0")},
                         {amd + "3.1", der_integer(tcb.boot_loader)},
                         {amd + "3.2", der_integer(tcb.tee)},
                         {amd + "3.3", der_integer(tcb.snp)},
                         {amd + "3.8", der_integer(tcb.microcode)},
                         {amd + "4", Bytes(chip.begin(), chip.end())}}};
}

/// Of a request's payload: whole blocks of AES.
bool is_sound_length(std::size_t bytes) {
  constexpr std::size_t kBlock = 16;
  return bytes != 0 && bytes % kBlock == 0;
}

crypto::PkiSpec vcek_spec() { return {.name = "SEV-VCEK"}; }

}  // namespace

Attestation::Attestation(Platform& platform) : platform_(platform) {
  platform.add(row::kSnpGuestRequest, [this](Call& call) { return guest_request(call); });
}

/// The first one brings its authority with it.
const crypto::Identity& Attestation::vcek() {
  Chip& chip = platform_.chip();
  const std::uint64_t tcb = chip.reported.encode();
  if (const auto known = vceks_.find(tcb); known != vceks_.end()) return known->second;
  const crypto::LeafExtras extras = vcek_extensions(chip.reported, chip.id());
  if (!authority_) {
    auto made = crypto::make_pki(vcek_spec(), extras);
    TEEIO_CHECK(made.has_value(), "a VCEK cannot be made");
    authority_ = std::move(*made);
    return vceks_.emplace(tcb, authority_->device).first->second;
  }
  auto made = crypto::make_sibling(*authority_, vcek_spec(), extras);
  TEEIO_CHECK(made.has_value(), "a VCEK cannot be made");
  return vceks_.emplace(tcb, std::move(*made)).first->second;
}

crypto::CertificateChain Attestation::endorsement() {
  return platform_.between_commands([this] { return vcek().chain; });
}

/// A message has its number used up once it is answered.
Status Attestation::guest_request(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Hpa request_page{in.le<std::uint64_t>()};
  const Hpa response_page{in.le<std::uint64_t>()};
  if (!is_page_aligned(raw(gctx))) return call.refuse("reserved");
  if (!platform_.snp()) return call.refuse("snp");
  GuestContext* const guest = platform_.guest(gctx);
  if (guest == nullptr) return call.refuse("guest");
  if (!is_page_aligned(raw(response_page)) || !platform_.rmp().covers(response_page) ||
      platform_.rmp().state(response_page) != PageState::kFirmware ||
      platform_.memory().is_mmio(response_page))
    return call.refuse("response_page");
  if (platform_.rmp().entry(response_page).size != RmpSize::k4K ||
      platform_.rmp().entry(request_page).size != RmpSize::k4K)
    return call.refuse("size");
  if (guest->state != GuestContext::State::kRunning) return call.refuse("running");
  const auto page = platform_.read_page(request_page, kPageSize);
  if (!page) return call.refuse("request_page");
  const auto sealed = SealedMessage::decode(*page);
  if (!sealed || !is_sound_length(sealed->message.payload.size())) return call.refuse("header");
  std::uint64_t& used = guest->sequence.at(sealed->message.key);
  const auto& message_key = guest->message_keys.at(sealed->message.key);
  const auto message = sealed->open(message_key);
  if (!message) return call.refuse("authentic");
  if (used > std::numeric_limits<std::uint64_t>::max() - 2) return call.refuse("overflow");
  if (message->sequence != used + 1) return call.refuse("sequence");
  if (message->type != kReportRequest || message->version != 1 ||
      message->payload.size() != kReportRequestSize)
    return call.refuse("message");
  used += 2;
  const GuestMessage answer{.sequence = used,
                            .type = kReportResponse,
                            .key = message->key,
                            .payload = report_answer(*guest, *message)};
  const bool written = platform_.write_page(response_page, answer.seal(message_key)).has_value();
  TEEIO_CHECK(written, "a page in state Firmware takes what the firmware writes");
  return Status::kSuccess;
}

AttestationReport Attestation::report_of(const GuestContext& guest) {
  Chip& chip = platform_.chip();
  const GuestIdentity& identity = guest.identity;
  return {.guest_svn = identity.svn,
          .policy = guest.policy,
          .family_id = identity.family_id,
          .image_id = identity.image_id,
          .measurement = guest.digest,
          .host_data = guest.host_data,
          .id_key_digest = identity.id_key_digest,
          .author_key_digest = identity.author_key_digest,
          .report_id = guest.report_id,
          .agent_report_id = guest.agent_report_id,
          .current_tcb = Chip::kCurrent.encode(),
          .reported_tcb = chip.reported.encode(),
          .committed_tcb = chip.committed.encode(),
          .launch_tcb = guest.launch_tcb,
          .chip_id = chip.mask_id ? Chip::Id{} : chip.id(),
          .abi_version = kAbiVersion,
          .author_key_enabled = identity.author_key_enabled,
          .mask_chip_key = chip.mask_key,
          .signing_key = chip.mask_key ? AttestationReport::SigningKey::kNone
                                       : AttestationReport::SigningKey::kVcek};
}

/// MSG_REPORT_RSP: a guest may have a report for its own VMPL and for those below.
Bytes Attestation::report_answer(const GuestContext& guest, const GuestMessage& request) {
  Reader in(request.payload);
  AttestationReport report = report_of(guest);
  std::ranges::copy(in.take(report.report_data.size()), report.report_data.begin());
  report.vmpl = in.le<std::uint32_t>();
  const auto key_select = in.le<std::uint32_t>();
  const ByteView rest = in.rest();
  const bool zero = std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; });
  const auto refused = [](Status status) {
    const std::uint32_t code = std::to_underlying(status);
    return Writer().le(code).zeros(kReportResponseHead - sizeof(code)).take();
  };
  if (!zero) return refused(Status::kInvalidParam);
  if (key_select > kKeyVcek || guest.vcek_disabled) return refused(Status::kInvalidKey);
  if (report.vmpl >= GuestContext::kMessageKeys || report.vmpl < request.key)
    return refused(Status::kInvalidParam);
  const Bytes bytes = report.encode();
  Bytes signature(AttestationReport::kSize - AttestationReport::kSigned);
  if (!report.mask_chip_key) {
    const auto numbers = vcek().key.sign(crypto::SignatureAlgorithm::kEcdsaP384,
                                         crypto::HashAlgorithm::kSha384, bytes);
    TEEIO_CHECK(numbers.has_value(), "a P-384 key signs with P-384");
    signature = wire::snp_signature_field(*numbers);
  }
  return Writer()
      .le(std::uint32_t{0})
      .le(static_cast<std::uint32_t>(AttestationReport::kSize))
      .zeros(kReportResponseHead - 2 * sizeof(std::uint32_t))
      .bytes(bytes)
      .bytes(signature)
      .take();
}

}  // namespace teeio::sev
