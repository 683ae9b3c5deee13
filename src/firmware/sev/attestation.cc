#include "firmware/sev/attestation.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "firmware/sev/launch.h"

namespace teeio::sev {
namespace {

// struct snp_report_req and MSG_REPORT_RSP's head; status codes are those of the firmware.
constexpr std::size_t kReportRequestSize = 96;
constexpr std::size_t kReportResponseHead = 32;
constexpr std::uint32_t kKeyVcek = 1;  ///< KEY_SEL: 0 chooses, 2 is the VLEK
constexpr std::uint32_t kInvalidKey = 0x27;
constexpr std::uint32_t kEcdsaP384Sha384 = 1;
constexpr std::uint32_t kReportVersion = 2;
constexpr std::size_t kNumber = 48;       ///< of a signature's r and s
constexpr std::size_t kNumberField = 72;  ///< each, little-endian
constexpr std::size_t kSignatureField = 512;

constexpr std::string_view kModelsChoice = "model's choice";
constexpr Attestation::Check kGuestRequestRows[] = {
    {"snp", Status::kInvalidPlatformState, "SNP is not initialised", kModelsChoice},
    {"guest", Status::kInvalidGuest, "the page is no guest's context", kModelsChoice},
    {"launched", Status::kInvalidGuestState, "the guest's launch has not begun", kModelsChoice},
    {"request_page", Status::kInvalidAddress, "the request page is not there", kModelsChoice},
    {"response_page", Status::kInvalidPageState, "the response page is not the firmware's",
     kModelsChoice},
    {"header", Status::kInvalidParam, "the message's header is wrong", kModelsChoice},
    {"overflow", Status::kAeadOverflow, "the key's sequence numbers are used up", kModelsChoice},
    {"sequence", Status::kInvalidParam, "the message has not the next sequence number",
     kModelsChoice},
    {"authentic", Status::kBadMeasurement, "the message is not the guest's", kModelsChoice},
    {"message", Status::kInvalidParam, "there is no such guest message", kModelsChoice},
};

/// Little-endian, from the big-endian numbers of a signature.
Bytes field_of(ByteView number) {
  Bytes field(number.rbegin(), number.rend());
  field.resize(kNumberField);
  return field;
}

Bytes number_of(ByteView field) {
  const ByteView low = field.first(kNumber);
  return Bytes(low.rbegin(), low.rend());
}

}  // namespace

std::span<const Attestation::Check> Attestation::checks() { return kGuestRequestRows; }

Attestation::Attestation(Platform& platform) : platform_(platform) {
  constexpr std::uint32_t kGuestRequestLength = 24;  // struct sev_data_snp_guest_request
  platform.add({.number = kSnpGuestRequest,
                .name = "SNP_GUEST_REQUEST",
                .fails = {},
                .length = kGuestRequestLength,
                .says_length = false,
                .run = [this](Call& call) { return guest_request(call); }});
}

const crypto::PrivateKey& Attestation::key() {
  if (!vcek_) vcek_ = crypto::PrivateKey::generate(crypto::KeyType::kP384);
  return *vcek_;
}

crypto::PublicKey Attestation::vcek() { return key().public_key(); }

Status Attestation::refuse(Call& call, std::string_view id) const {
  const auto* const check = std::ranges::find(kGuestRequestRows, id, &Check::id);
  TEEIO_CHECK(check != std::end(kGuestRequestRows), "a guest request is refused by no check");
  return call.refuse(check->status, check->why);
}

/// A message that is the guest's has its number used up, whatever comes of it.
Status Attestation::guest_request(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Hpa request_page{in.le<std::uint64_t>()};
  const Hpa response_page{in.le<std::uint64_t>()};
  if (!platform_.snp()) return refuse(call, "snp");
  GuestContext* const guest = platform_.guest(gctx);
  if (guest == nullptr) return refuse(call, "guest");
  if (guest->state == GuestContext::State::kInit) return refuse(call, "launched");
  const auto page = platform_.read_page(request_page, kPageSize);
  if (!page) return refuse(call, "request_page");
  if (!is_page_aligned(raw(response_page)) || !platform_.rmp().covers(response_page) ||
      platform_.rmp().state(response_page) != PageState::kFirmware)
    return refuse(call, "response_page");
  const auto sealed = SealedMessage::decode(*page);
  if (!sealed) return refuse(call, "header");
  std::uint64_t& used = guest->sequence.at(sealed->message.key);
  if (used > std::numeric_limits<std::uint64_t>::max() - 2) return refuse(call, "overflow");
  if (sealed->message.sequence != used + 1) return refuse(call, "sequence");
  const auto& message_key = guest->message_keys.at(sealed->message.key);
  const auto message = sealed->open(message_key);
  if (!message) return refuse(call, "authentic");
  used = message->sequence;
  if (message->type != kReportRequest || message->version != 1 ||
      message->payload.size() != kReportRequestSize)
    return refuse(call, "message");
  const GuestMessage answer{.sequence = ++used,
                            .type = kReportResponse,
                            .key = message->key,
                            .payload = report_answer(*guest, *message)};
  const bool written = platform_.write_page(response_page, answer.seal(message_key)).has_value();
  TEEIO_CHECK(written, "a page in state Firmware takes what the firmware writes");
  return Status::kSuccess;
}

/// MSG_REPORT_RSP: a guest may have a report for its own VMPL and for those below.
Bytes Attestation::report_answer(const GuestContext& guest, const GuestMessage& request) {
  Reader in(request.payload);
  AttestationReport report{.policy = guest.policy,
                           .measurement = guest.digest,
                           .host_data = guest.host_data,
                           .report_id = guest.report_id};
  std::ranges::copy(in.take(report.report_data.size()), report.report_data.begin());
  report.vmpl = in.le<std::uint32_t>();
  const auto key_select = in.le<std::uint32_t>();
  const ByteView rest = in.rest();
  const bool zero = std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; });
  const auto refused = [](std::uint32_t status) {
    return Writer().le(status).zeros(kReportResponseHead - sizeof(status)).take();
  };
  if (!zero || report.vmpl >= GuestContext::kMessageKeys || report.vmpl < request.key)
    return refused(std::to_underlying(Status::kInvalidParam));
  if (key_select > kKeyVcek) return refused(kInvalidKey);
  Bytes bytes = report.encode();
  const auto signature =
      key().sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384, bytes);
  TEEIO_CHECK(signature.has_value(), "a P-384 key signs with P-384");
  const ByteView both(*signature);
  bytes = Writer()
              .bytes(bytes)
              .bytes(field_of(both.first(kNumber)))
              .bytes(field_of(both.subspan(kNumber)))
              .zeros(kSignatureField - 2 * kNumberField)
              .take();
  return Writer()
      .le(std::uint32_t{0})
      .le(static_cast<std::uint32_t>(bytes.size()))
      .zeros(kReportResponseHead - 2 * sizeof(std::uint32_t))
      .bytes(bytes)
      .take();
}

Bytes AttestationReport::encode() const {
  Writer out;
  out.le(kReportVersion)
      .le(std::uint32_t{0})
      .le(policy)
      .zeros(32);                               // SVN; family and image of an ID block
  out.le(vmpl).le(kEcdsaP384Sha384).zeros(24);  // TCB, platform and key information
  out.bytes(report_data).bytes(measurement).bytes(host_data).zeros(96);  // keys of an ID block
  out.bytes(report_id);
  for (int n = 0; n < 32; ++n) out.le(std::uint8_t{0xff});  // REPORT_ID_MA: no migration agent
  out.zeros(104);                                           // reported TCB, chip ID, committed TCB
  for (int n = 0; n < 2; ++n)                               // current and committed version
    out.le(std::uint8_t{0})
        .le(static_cast<std::uint8_t>(kAbiVersion))
        .le(static_cast<std::uint8_t>(kAbiVersion >> 8U))
        .le(std::uint8_t{0});
  Bytes bytes = out.take();
  bytes.resize(kSigned);  // launch TCB, reserved
  return bytes;
}

Result<AttestationReport> AttestationReport::verify(ByteView report,
                                                    const crypto::PublicKey& vcek) {
  Reader in(report);
  const auto version = in.le<std::uint32_t>();
  in.skip(4);
  AttestationReport found{.policy = in.le<std::uint64_t>()};
  in.skip(32);
  found.vmpl = in.le<std::uint32_t>();
  const auto algorithm = in.le<std::uint32_t>();
  if (report.size() != kSize || version != kReportVersion || algorithm != kEcdsaP384Sha384)
    return fail(Errno::kInval, "it is no attestation report of a known version");
  in.skip(24);
  std::ranges::copy(in.take(found.report_data.size()), found.report_data.begin());
  std::ranges::copy(in.take(found.measurement.size()), found.measurement.begin());
  std::ranges::copy(in.take(found.host_data.size()), found.host_data.begin());
  in.skip(96);
  std::ranges::copy(in.take(found.report_id.size()), found.report_id.begin());
  const Bytes signature =
      Writer()
          .bytes(number_of(report.subspan(kSigned, kNumberField)))
          .bytes(number_of(report.subspan(kSigned + kNumberField, kNumberField)))
          .take();
  TEEIO_TRY(vcek.verify(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                        report.first(kSigned), signature));
  return found;
}

}  // namespace teeio::sev
