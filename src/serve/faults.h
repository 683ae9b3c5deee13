#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spdm/responder.h"

namespace teeio::serve {

/// A misbehaviour on purpose, so that requesters can be tested. docs/serve.md says what each does.
struct Fault {
  enum class Kind : std::uint8_t {
    kBadSignature,
    kBadHmac,
    kBadDigest,
    kBadCertificate,
    kWrongNonce,
    kWrongVersion,
    kWrongCode,
    kTruncated,
    kLonger,
    kError,
    kEndlessBusy,
    kDropped,
    kLate,
    kAccepted,
    kMovedRange,
    kRepeated,
    kUnasked,
  };
  Kind kind = Kind::kDropped;
  std::string message;  ///< the request's name, as `teeio decode` prints it
};

/// "NAME@MESSAGE". Error, ready to print: there is no such fault, or it does not go with that
/// message.
[[nodiscard]] std::expected<Fault, std::string> parse_fault(std::string_view text);
/// Each NAME@MESSAGE that there is.
[[nodiscard]] std::vector<std::string> all_faults();
/// "bad-signature@KEY_EXCHANGE".
[[nodiscard]] std::string fault_name(const Fault& fault);

/// Does to answers what a list of faults says.
///
/// Lifetime: of one Speaker. Locking: none.
class Faults final : public spdm::Tamper {
 public:
  explicit Faults(std::vector<Fault> faults) : faults_(std::move(faults)) {}

  // spdm::Tamper
  [[nodiscard]] std::optional<std::uint8_t> refuses(ByteView request) override;
  void change(ByteView request, Bytes& answer, std::size_t verify_data) override;

  /// Whose messages are in a vendor-defined one. They begin with the protocol's byte.
  enum class Vendor : std::uint8_t { kPciSig, kCxl };
  // The same of IDE_KM and TDISP, and of CXL's protocols.
  [[nodiscard]] std::optional<std::uint8_t> refuses_app(Vendor vendor, ByteView request);
  /// `answer`: nullopt, there is none but SPDM's ERROR.
  void change_app(Vendor vendor, ByteView request, std::optional<Bytes>& answer);
  /// Such a request is answered in the clear, too.
  [[nodiscard]] bool accepts_app(Vendor vendor, ByteView request) const;

  /// Of DOE discovery; nullopt leaves the answer as it is.
  void change_discovery(Bytes& object);
  /// What goes out instead of `packet`, the whole answer: it may be lost or late. `refused`: a
  /// secured message had come, and it is none, in the clear, or DecryptError.
  [[nodiscard]] Bytes carry(Bytes packet, bool refused);

 private:
  [[nodiscard]] std::optional<std::uint8_t> refuses_named(std::string_view name);
  [[nodiscard]] bool has(Fault::Kind kind, std::string_view name) const;
  void change_named(std::string_view name, std::size_t code_at, Bytes& answer);
  /// SEND_EVENT, which the answer to GET_ENCAPSULATED_REQUEST brings, or shall bring.
  void change_event(Bytes& answer) const;

  const std::vector<Fault> faults_;
  bool drops_ = false;  ///< the answer at hand
  bool delays_ = false;
  Bytes late_;  ///< the answer that comes with the next
  Bytes last_;  ///< the last that was not empty
};

}  // namespace teeio::serve
