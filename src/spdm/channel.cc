#include "spdm/channel.h"

#include <array>
#include <utility>

#include "wire/doe.h"
#include "wire/spdm_error.h"

namespace teeio::spdm {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

Bytes in_doe(ByteView spdm) {
  return wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(wire::DoeType::kSpdm), spdm}
      .encode();
}

Bytes error_object(SpdmErrorCode code, std::uint8_t data = 0) {
  wire::SpdmError error;
  error.version = wire::kSpdmVersion12;
  error.code = std::to_underlying(code);
  error.data = data;
  return in_doe(error.encode());
}

/// The SPDM message inside a DOE data object.
Result<ByteView> out_of_doe(ByteView object) {
  TEEIO_ASSIGN(const wire::DoeObject doe, wire::DoeObject::decode(object));
  if (doe.vendor_id != wire::kPciSigVendorId ||
      doe.type != std::to_underlying(wire::DoeType::kSpdm))
    return fail(Errno::kInval, "DOE data object is not SPDM");
  return doe.payload;
}

/// Fails with EIO when `message` is an ERROR response.
Result<void> refuse_error(ByteView message) {
  TEEIO_ASSIGN(const wire::SpdmHeader header, wire::SpdmHeader::decode(message));
  if (header.code == std::to_underlying(SpdmCode::kError))
    return fail(Errno::kIo, "the device answered SPDM ERROR");
  return {};
}

/// See make_plain_requester().
class PlainRequester final : public RequesterChannel {
 public:
  std::optional<Bytes> connect_request() override {
    if (connected_) return std::nullopt;
    return in_doe(wire::encode_spdm_get_version());
  }
  Result<void> connect_response(ByteView object) override;
  [[nodiscard]] bool connected() const override { return connected_; }
  Result<Bytes> seal(wire::Protocol protocol, ByteView message) override;
  Result<Bytes> open(wire::Protocol protocol, ByteView object) override;
  [[nodiscard]] bool waiting() const override { return true; }
  std::optional<Bytes> measure_request(const std::array<std::byte, 32>& /*nonce*/) override {
    return std::nullopt;
  }
  Result<void> measure_response(ByteView /*object*/) override {
    return fail(Errno::kInval, "a plain channel asks for no measurements");
  }
  Result<std::optional<Bytes>> upkeep_request(Upkeep /*which*/) override {
    return fail(Errno::kOpNotSupp, "a plain channel has no session");
  }
  Result<void> upkeep_response(ByteView /*object*/) override {
    return fail(Errno::kInval, "a plain channel has no session");
  }
  [[nodiscard]] const Evidence* evidence() const override { return nullptr; }
  std::optional<Bytes> disconnect_request() override { return std::nullopt; }
  Result<void> disconnect_response(ByteView /*object*/) override { return {}; }
  void reset() override { connected_ = false; }

 private:
  bool connected_ = false;
};

/// See make_plain_responder().
class PlainResponder final : public ResponderChannel {
 public:
  [[nodiscard]] std::span<const std::uint8_t> object_types() const override {
    static constexpr std::array kTypes{std::to_underlying(wire::DoeType::kSpdm)};
    return kTypes;
  }
  std::variant<AppMessage, Bytes> open(ByteView object) override;
  Bytes seal(const AppMessage& answer) override;
  Bytes seal_refusal() override { return error_object(SpdmErrorCode::kInvalidRequest); }
  void reset() override { connected_ = false; }

 private:
  bool connected_ = false;
};

Result<void> PlainRequester::connect_response(ByteView object) {
  if (connected_) return fail(Errno::kInval, "SPDM is connected already");
  TEEIO_ASSIGN(const ByteView message, out_of_doe(object));
  TEEIO_TRY(refuse_error(message));
  TEEIO_ASSIGN(const auto response, wire::SpdmVersionResponse::decode(message));
  if (std::ranges::find(response.versions, wire::kSpdmVersion12) == response.versions.end())
    return fail(Errno::kOpNotSupp, "the device does not speak SPDM 1.2");
  connected_ = true;
  return {};
}

Result<Bytes> PlainRequester::seal(wire::Protocol protocol, ByteView message) {
  if (!connected_) return fail(Errno::kNxio, "SPDM is not connected");
  if (message.size() > wire::VendorDefined::kMaxMessage)
    return fail(Errno::kTooBig, "message is longer than a vendor-defined message carries");
  return in_doe(
      wire::VendorDefined{wire::kSpdmVersion12, SpdmCode::kVendorDefinedRequest, protocol, message}
          .encode());
}

Result<Bytes> PlainRequester::open(wire::Protocol protocol, ByteView object) {
  if (!connected_) return fail(Errno::kNxio, "SPDM is not connected");
  const auto plain = out_of_doe(object);
  if (!plain) return fail(Errno::kAcces, plain.error().why);
  const ByteView message = *plain;
  TEEIO_TRY(refuse_error(message));
  TEEIO_ASSIGN(const auto answer, wire::VendorDefined::decode(message));
  if (answer.code != SpdmCode::kVendorDefinedResponse)
    return fail(Errno::kInval, "SPDM message is not a vendor-defined response");
  if (answer.protocol != protocol) return fail(Errno::kInval, "answer is of another protocol");
  return Bytes(answer.message.begin(), answer.message.end());
}

std::variant<AppMessage, Bytes> PlainResponder::open(ByteView object) {
  const auto message = out_of_doe(object);
  if (!message) return error_object(SpdmErrorCode::kInvalidRequest);
  const auto header = wire::SpdmHeader::decode(*message);
  if (!header) return error_object(SpdmErrorCode::kInvalidRequest);
  if (header->code == std::to_underlying(SpdmCode::kGetVersion)) {
    if (header->version != wire::kSpdmVersion10)
      return error_object(SpdmErrorCode::kVersionMismatch);
    connected_ = true;
    wire::SpdmVersionResponse response;
    response.versions = {wire::kSpdmVersion12};
    return in_doe(response.encode());
  }
  if (header->code != std::to_underlying(SpdmCode::kVendorDefinedRequest))
    return error_object(SpdmErrorCode::kUnsupportedRequest, header->code);
  if (!connected_) return error_object(SpdmErrorCode::kUnexpectedRequest);
  if (header->version != wire::kSpdmVersion12) return error_object(SpdmErrorCode::kVersionMismatch);
  const auto request = wire::VendorDefined::decode(*message);
  if (!request && request.error().code == Errno::kOpNotSupp)
    return error_object(SpdmErrorCode::kUnsupportedRequest, header->code);
  if (!request) return error_object(SpdmErrorCode::kInvalidRequest);
  return AppMessage{request->protocol, {request->message.begin(), request->message.end()}};
}

Bytes PlainResponder::seal(const AppMessage& answer) {
  return in_doe(wire::VendorDefined{wire::kSpdmVersion12, SpdmCode::kVendorDefinedResponse,
                                    answer.protocol, answer.bytes}
                    .encode());
}

}  // namespace

Bytes encode_evidence(const Evidence& evidence) {
  const auto size = [](const Bytes& bytes) { return static_cast<std::uint32_t>(bytes.size()); };
  return Writer()
      .le(size(evidence.chain))
      .le(size(evidence.transcript))
      .le(size(evidence.signature))
      .zeros(4)
      .bytes(evidence.nonce)
      .bytes(evidence.chain)
      .bytes(evidence.transcript)
      .bytes(evidence.signature)
      .take();
}

std::unique_ptr<RequesterChannel> make_plain_requester() {
  return std::make_unique<PlainRequester>();
}

std::unique_ptr<ResponderChannel> make_plain_responder() {
  return std::make_unique<PlainResponder>();
}

}  // namespace teeio::spdm
