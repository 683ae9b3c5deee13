#include <algorithm>

#include "firmware/rmm/rsi_call.h"

// A realm's measurements and its attestation token: TF-RMM runtime/rsi/realm_attest.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kMostTokenBytes = kPageSize;  // RMM_CCA_TOKEN_BUFFER pages

}  // namespace

RsiResult Rmm::rsi_measurement_read(Hpa at, std::uint64_t slot, MeasurementWords& words) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiMeasurementRead);
  Rec& rec = calling(at);
  if (slot >= Measurements::kSlots) return rec.result = call.refuse("slot");
  words = realm_of(rec).measurements.words(slot);
  return rec.result = {};
}

RsiResult Rmm::rsi_measurement_extend(Hpa at, std::uint64_t slot, std::uint64_t size,
                                      const MeasurementWords& value) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiMeasurementExtend);
  Rec& rec = calling(at);
  if (slot == 0 || slot >= Measurements::kSlots) return rec.result = call.refuse("slot");
  if (size > sizeof value) return rec.result = call.refuse("size");
  realms_.at(raw(rec.rd)).measurements.extend(slot, bytes_of(value).first(size));
  return rec.result = {};
}

const Attestation& Rmm::attestation() {
  mutex_.assert_held();
  touch(kAttestation, How::kWrite);
  if (!attestation_) attestation_.emplace();
  return *attestation_;
}

crypto::PublicKey Rmm::platform_key() {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return attestation().platform_key();
}

/// The claims are those of this moment, whatever the realm measures before it calls again.
RsiResult Rmm::rsi_attest_token_init(Hpa at, const MeasurementWords& challenge) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const RsiCall call(*this, row::kRsiAttestTokenInit);
  Rec& rec = calling(at);
  const Realm& realm = realm_of(rec);
  rec.token = {
      .state = Rec::Token::State::kClaims,
      .bytes = attestation().claims(realm.measurements, realm.identity, bytes_of(challenge))};
  return rec.result = {.x1 = kMostTokenBytes};
}

RsiResult Rmm::rsi_attest_token_continue(Hpa at, Gpa page, std::uint64_t offset,
                                         std::uint64_t size) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiAttestTokenContinue);
  Rec& rec = calling(at);
  if (!is_page_aligned(raw(page)) || offset >= kPageSize || size > kPageSize - offset)
    return rec.result = call.refuse("range");
  if (raw(page) >= Rtt::kProtected) return rec.result = call.refuse("protected");
  Rec::Token& token = rec.token;
  if (token.state == Rec::Token::State::kNotStarted) return rec.result = call.refuse("state");
  if (token.state == Rec::Token::State::kClaims)
    token = {.state = Rec::Token::State::kSigned, .bytes = attestation().token(token.bytes)};
  const auto place = ram_of_call(call, rec, page);
  if (!place) return rec.result = place.error();
  const std::uint64_t length = std::min<std::uint64_t>(size, token.bytes.size() - token.copied);
  (void)memory_.write(*place + offset, ByteView(token.bytes).subspan(token.copied, length),
                      kRealmWorld);
  token.copied += length;
  rec.result = {.code = RsiCode::kIncomplete, .x1 = length};
  if (token.copied == token.bytes.size()) {
    token = {};
    rec.result.code = RsiCode::kSuccess;
  }
  return rec.result;
}

}  // namespace teeio::rmm
