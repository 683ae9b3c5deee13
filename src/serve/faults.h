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
    kError,
    kEndlessBusy,
    kDropped,
    kLate,
  };
  Kind kind = Kind::kDropped;
  std::string message;  ///< the request's name, as `teeio decode` prints it
};

/// "NAME@MESSAGE". Error, ready to print: there is no such fault, or it does not go with that
/// message.
[[nodiscard]] std::expected<Fault, std::string> parse_fault(std::string_view text);
/// Each NAME@MESSAGE that there is.
[[nodiscard]] std::vector<std::string> all_faults();

/// Does to answers what a list of faults says.
///
/// Lifetime: of one Speaker. Locking: none.
class Faults final : public spdm::Tamper {
 public:
  explicit Faults(std::vector<Fault> faults) : faults_(std::move(faults)) {}

  // spdm::Tamper
  [[nodiscard]] std::optional<std::uint8_t> refuses(ByteView request) override;
  void change(ByteView request, Bytes& answer, std::size_t verify_data) override;

  // The same of IDE_KM and TDISP, whose messages begin with the protocol's byte.
  [[nodiscard]] std::optional<std::uint8_t> refuses_app(ByteView request);
  void change_app(ByteView request, Bytes& answer);

  /// Of DOE discovery; nullopt leaves the answer as it is.
  void change_discovery(Bytes& object);
  /// What goes out instead of `packet`, the whole answer: it may be lost or late.
  [[nodiscard]] Bytes carry(Bytes packet);

 private:
  [[nodiscard]] std::optional<std::uint8_t> refuses_named(std::string_view name);
  void change_named(std::string_view name, std::size_t code_at, Bytes& answer);

  const std::vector<Fault> faults_;
  bool drops_ = false;  ///< the answer at hand
  bool delays_ = false;
  Bytes late_;  ///< the answer that comes with the next
};

}  // namespace teeio::serve
