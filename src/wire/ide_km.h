#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// IDE key management messages. Source: PCIe Base Spec 6.33.3; layouts checked
/// against libspdm pci_idekm.h. One row of kIdeKmMessages each.
enum class IdeKmObject : std::uint8_t {
  kQuery = 0,
  kQueryResp = 1,
  kKeyProg = 2,
  kKpAck = 3,
  kKSetGo = 4,
  kKSetStop = 5,
  kKGoStopAck = 6,
};

struct IdeKmRow {
  IdeKmObject object;
  std::string_view name;
  bool request;  ///< from the firmware; else from the device
};
inline constexpr std::array kIdeKmMessages{
    IdeKmRow{IdeKmObject::kQuery, "QUERY", true},
    IdeKmRow{IdeKmObject::kQueryResp, "QUERY_RESP", false},
    IdeKmRow{IdeKmObject::kKeyProg, "KEY_PROG", true},
    IdeKmRow{IdeKmObject::kKpAck, "KP_ACK", false},
    IdeKmRow{IdeKmObject::kKSetGo, "K_SET_GO", true},
    IdeKmRow{IdeKmObject::kKSetStop, "K_SET_STOP", true},
    IdeKmRow{IdeKmObject::kKGoStopAck, "K_GOSTOP_ACK", false},
};
/// "IDE_KM_UNKNOWN" for a code outside the table.
[[nodiscard]] std::string_view ide_km_name(std::uint8_t object);

enum class IdeDirection : std::uint8_t { kRx = 0, kTx = 1 };
enum class IdeSubStream : std::uint8_t { kPosted = 0, kNonPosted = 1, kCompletion = 2 };
inline constexpr std::size_t kIdeSubStreamCount = 3;

/// Which of a stream's keys a message means: the Key Sub-stream byte. Bit 0 is
/// the key set, bit 1 the direction as the addressed port sees it, bits 7:4 the
/// sub-stream.
struct IdeKeySelector {
  std::uint8_t raw = 0;

  [[nodiscard]] static IdeKeySelector make(unsigned key_set, IdeDirection direction,
                                           IdeSubStream sub_stream) {
    return {static_cast<std::uint8_t>((key_set & 1U) | static_cast<unsigned>(direction) << 1U |
                                      static_cast<unsigned>(sub_stream) << 4U)};
  }
  /// Bits 3:2 are zero and the sub-stream is one of the three.
  [[nodiscard]] bool valid() const { return (raw & 0x0cU) == 0 && raw >> 4U < kIdeSubStreamCount; }
  [[nodiscard]] unsigned key_set() const { return raw & 1U; }
  [[nodiscard]] IdeDirection direction() const { return IdeDirection(raw >> 1U & 1U); }
  /// Precondition: valid().
  [[nodiscard]] IdeSubStream sub_stream() const { return IdeSubStream(raw >> 4U); }
  bool operator==(const IdeKeySelector&) const = default;
};

struct IdeKmQuery {
  std::uint8_t port_index = 0;
  bool operator==(const IdeKmQuery&) const = default;
};

struct IdeKmQueryResp {
  /// Link blocks, 255 selective blocks of 15 address blocks each, header: what a
  /// capability can be at most fits 4 KiB of config space.
  static constexpr std::size_t kMaxRegisters = 1024;
  std::uint8_t port_index = 0;
  std::uint8_t dev_func = 0;
  std::uint8_t bus = 0;
  std::uint8_t segment = 0;
  std::uint8_t max_port_index = 0;
  std::vector<std::uint32_t> registers;  ///< the IDE extended capability from its offset 4
  bool operator==(const IdeKmQueryResp&) const = default;
};

/// An AES-256-GCM key with the first value of its invocation field.
struct IdeKey {
  static constexpr std::size_t kSize = 40;  ///< bytes on the wire: key, then IFV
  std::array<std::byte, 32> key{};
  std::uint64_t ifv = 1;  ///< 1 is the only initial value; high DWORD first on the wire
  bool operator==(const IdeKey&) const = default;
};

struct IdeKmKeyProg {
  std::uint8_t stream_id = 0;
  IdeKeySelector selector;
  std::uint8_t port_index = 0;
  std::optional<IdeKey> key;  ///< nullopt: the message has another length than a key needs
  bool operator==(const IdeKmKeyProg&) const = default;
};

enum class KpAckStatus : std::uint8_t {
  kSuccess = 0,
  kIncorrectLength = 1,
  kUnsupportedPort = 2,
  kUnsupportedValue = 3,
  kUnspecifiedFailure = 4,
};
/// A sentence for a status other than success.
[[nodiscard]] std::string_view kp_ack_why(std::uint8_t status);

struct IdeKmKpAck {
  std::uint8_t stream_id = 0;
  std::uint8_t status = 0;  ///< a KpAckStatus
  IdeKeySelector selector;
  std::uint8_t port_index = 0;
  bool operator==(const IdeKmKpAck&) const = default;
};

/// K_SET_GO, K_SET_STOP and K_GOSTOP_ACK have one layout.
template <IdeKmObject Object>
struct IdeKmKeySet {
  std::uint8_t stream_id = 0;
  IdeKeySelector selector;
  std::uint8_t port_index = 0;
  bool operator==(const IdeKmKeySet&) const = default;
};
using IdeKmKSetGo = IdeKmKeySet<IdeKmObject::kKSetGo>;
using IdeKmKSetStop = IdeKmKeySet<IdeKmObject::kKSetStop>;
using IdeKmKGoStopAck = IdeKmKeySet<IdeKmObject::kKGoStopAck>;

/// In the order of IdeKmObject, so that index() is the object id.
using IdeKmMessage = std::variant<IdeKmQuery, IdeKmQueryResp, IdeKmKeyProg, IdeKmKpAck, IdeKmKSetGo,
                                  IdeKmKSetStop, IdeKmKGoStopAck>;

/// Reserved fields are ignored, as is padding behind messages of fixed length.
/// Errors: EINVAL when `in` is empty, short or (QUERY_RESP) no whole DWORDs;
/// EOPNOTSUPP for an unknown object id; E2BIG for too many registers.
Result<IdeKmMessage> decode_ide_km(ByteView in);
/// Precondition: a KEY_PROG has a key; a QUERY_RESP at most kMaxRegisters.
[[nodiscard]] Bytes encode_ide_km(const IdeKmMessage& message);
[[nodiscard]] IdeKmObject object_of(const IdeKmMessage& message);

}  // namespace teeio::wire
