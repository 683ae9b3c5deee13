#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// MCTP message types. Source: DSP0239; SPDM's binding is DSP0275, DSP0276.
enum class MctpType : std::uint8_t {
  kControl = 0x00,
  kPldm = 0x01,
  kSpdm = 0x05,
  kSecured = 0x06,
  kVendorPci = 0x7e,
  kVendorIana = 0x7f,
};

/// A message over MCTP: one byte in front of it.
struct MctpMessage {
  std::uint8_t type = 0;         ///< an MctpType, or what the peer sent
  bool integrity_check = false;  ///< bit 7; SPDM leaves it clear
  ByteView body;
  /// Errors: EINVAL when `in` is empty.
  static Result<MctpMessage> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// The four bytes of an MCTP packet on its medium, which a capture has in front
/// of each message. Source: DSP0236 1.3, 8.1.
struct MctpPacketHeader {
  static constexpr std::size_t kSize = 4;
  std::uint8_t header_version = 1;
  std::uint8_t destination = 0;  ///< endpoint ID
  std::uint8_t source = 0;       ///< endpoint ID
  std::uint8_t flags = 0xc0;     ///< start and end of message, tag owner and tag
  /// Errors: EINVAL when `in` is short.
  static Result<MctpPacketHeader> decode(ByteView in);
  void append_to(Writer& w) const;
};

/// SPDM over TCP. Source: DSP0287 1.0, table "Message header"; checked against
/// libspdm spdm_tcp_binding.h.
enum class TcpBindingType : std::uint8_t {
  kOutOfSession = 0x05,
  kInSession = 0x06,
  kRoleInquiry = 0xbf,
  kErrorTooLarge = 0xc0,
  kErrorNotSupported = 0xc1,
  kErrorNotRequester = 0xc2,
  kErrorNotResponder = 0xc3,
};

struct TcpBindingMessage {
  static constexpr std::size_t kHeaderSize = 4;
  static constexpr std::uint8_t kVersion = 1;
  /// PayloadLength counts what follows it: the version, the type and the body; but it is 0 in
  /// messages of nothing but a type, Role-Inquiry and errors. Source: libspdm libspdm_tcp_tcp.c,
  /// libspdm_tcp_encode_message() and libspdm_tcp_encode_discovery_message(), whose other end
  /// takes nothing else. A 2 is taken there as well.
  static constexpr std::size_t kMaxBody = 0xffff - 2;
  std::uint8_t version = kVersion;
  std::uint8_t type = 0;  ///< a TcpBindingType, or what the peer sent
  ByteView body;

  /// Bytes of the message that begins `in`, header included, once its length is
  /// there to read; 0 before that.
  [[nodiscard]] static std::size_t size_of(ByteView in);
  /// Errors: EINVAL when `in` is not exactly one message; EOPNOTSUPP for another
  /// binding version.
  static Result<TcpBindingMessage> decode(ByteView in);
  /// Precondition: at most kMaxBody bytes.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
