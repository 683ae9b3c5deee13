#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace teeio::serve {

/// What a message on the socket is for. The numbers and the framing below are
/// those of DMTF/spdm-emu, spdm_emu/spdm_emu_common/command.h.
enum class PlatformCommand : std::uint32_t {
  kNormal = 0x0001,  ///< payload: a packet of the transport
  /// A bare TDISP message without SPDM around it, of QEMU's TDISP device, answered as
  /// kNormal by a bare one. Source: DMTF/spdm-emu pull request 498.
  kDecapTdisp = 0x0002,
  kEncapKeyUpdate = 0x8001,     ///< "send me an encapsulated KEY_UPDATE"
  kEncapEndpointInfo = 0x8002,  ///< "send me an encapsulated GET_ENDPOINT_INFO"
  kContinue = 0xfffd,           ///< the requester leaves; state is kept
  kShutdown = 0xfffe,           ///< the requester leaves and is done
  kUnknown = 0xffff,            ///< answer to a command that is none of these
  kTest = 0xdead,               ///< greeting, answered with a greeting
};

enum class PlatformTransport : std::uint32_t { kNone = 0, kMctp = 1, kPciDoe = 2, kTcp = 3 };
[[nodiscard]] std::string_view name(PlatformTransport transport);
/// "doe", "mctp", "none", "tcp"; nullopt for anything else.
[[nodiscard]] std::optional<PlatformTransport> parse_transport(std::string_view text);

/// Three big-endian u32s before each message, both ways.
struct PlatformHeader {
  static constexpr std::size_t kSize = 12;                 ///< bytes
  static constexpr std::uint32_t kMaxPayload = 1U << 20U;  ///< bytes: a DOE object's limit
  std::uint32_t command = 0;
  std::uint32_t transport = 0;
  std::uint32_t size = 0;  ///< of the payload, bytes

  /// nullopt when `in` is shorter than a header. Nothing is checked.
  [[nodiscard]] static std::optional<PlatformHeader> decode(ByteView in);
};

/// Header and payload in one piece, so that one send() carries it.
[[nodiscard]] Bytes platform_message(PlatformCommand command, std::uint32_t transport,
                                     ByteView payload);

inline constexpr std::string_view kClientGreeting{"Client Hello!\0", 14};
inline constexpr std::string_view kServerGreeting{"Server Hello!\0", 14};

}  // namespace teeio::serve
