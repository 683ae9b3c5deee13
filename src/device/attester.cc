#include "device/attester.h"

#include <string>
#include <string_view>
#include <utility>

#include "wire/spdm.h"
#include "wire/spdm_error.h"
#include "wire/spdm_measurements.h"

namespace teeio::device {
namespace {

using wire::SpdmMeasurementType;

// What stands for code that the card does not really have.
constexpr std::string_view kBootRom = "boot ROM 1.0";
constexpr std::string_view kFirmware = "firmware 1.0";

Bytes image_text(std::string_view model, std::string_view image) {
  const std::string text = "teeio " + std::string(model) + " " + std::string(image);
  const ByteView view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

spdm::Measurement block(std::uint8_t index, SpdmMeasurementType type, bool raw, Bytes value) {
  return {.index = index,
          .type = std::to_underlying(type),
          .raw = raw,
          .value = std::move(value),
          .in_tcb = type != SpdmMeasurementType::kFirmwareConfiguration,
          .logged = type != SpdmMeasurementType::kFirmwareConfiguration};
}

/// IDE_KM and TDISP have arrows of their own.
bool shows_itself(std::uint8_t code) {
  return code == std::to_underlying(wire::SpdmCode::kVendorDefinedRequest) ||
         code == std::to_underlying(wire::SpdmCode::kVendorDefinedResponse);
}

}  // namespace

Attester::Attester(object::Trace& trace, Bdf bdf, const DsmSpdm& setup, Owner& owner)
    : trace_(trace),
      bdf_(bdf),
      key_type_(setup.key_type),
      seed_(setup.seed),
      hardware_(setup.hardware),
      model_(setup.model),
      owner_(owner) {}

const spdm::Credential* Attester::credential(std::uint8_t slot,
                                             crypto::SignatureAlgorithm algorithm,
                                             crypto::HashAlgorithm hash) {
  if (!pki_) {
    pki_ = crypto::make_device_identity(seed_, key_type_);
    slots_.set(0, {.identity = &pki_->device});
  }
  return slots_.credential(slot, algorithm, hash);
}

std::vector<spdm::Measurement> Attester::measurements() {
  return {block(1, SpdmMeasurementType::kImmutableRom, false, image_text(model_, kBootRom)),
          block(2, SpdmMeasurementType::kMutableFirmware, false, image_text(model_, kFirmware)),
          block(3, SpdmMeasurementType::kHardwareConfiguration, true, hardware_),
          block(4, SpdmMeasurementType::kFirmwareConfiguration, true, owner_.interfaces())};
}

Bytes Attester::extension_log() { return spdm::extension_log_of(measurements()); }

void Attester::received(std::uint32_t session, ByteView spdm) {
  const auto header = wire::SpdmHeader::decode(spdm);
  if (header) last_request_ = wire::spdm_name(header->code);
  if (!header || shows_itself(header->code)) return;
  call_.reset();
  call_.emplace(
      trace_.call(object::Lane::kDevice, wire::spdm_name(header->code),
                  {.detail = session != spdm::kNoSession ? "in session" : "", .function = bdf_}));
}

void Attester::sent(std::uint32_t /*session*/, ByteView spdm) {
  if (!call_) return;
  if (const auto error = wire::SpdmError::decode(spdm))
    call_->refuse(wire::spdm_error_name(error->code), "SPDM ERROR");
  call_.reset();
}

void Attester::sealed(std::uint32_t /*session*/, std::uint64_t key_digest, std::uint64_t sequence) {
  trace_.fact(object::Lane::kDevice, object::Fact::kSequenceUsed, "sequence number",
              {.function = bdf_, .a = key_digest, .b = sequence});
}

void Attester::session_ended(std::uint32_t session, spdm::SessionEnd /*reason*/) {
  owner_.session_ended(session);
}

}  // namespace teeio::device
