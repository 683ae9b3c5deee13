#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::wire::pcapng {

// Numbers that the reader and the writer share. Source: draft-ietf-opsawg-pcapng, 3 and 4.
inline constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
inline constexpr std::uint32_t kInterfaceBlock = 1;
inline constexpr std::uint32_t kEnhancedPacketBlock = 6;
inline constexpr std::uint16_t kOptionFlags = 2;  ///< of a packet
inline constexpr std::uint16_t kOptionName = 2;   ///< of an interface
/// The name of an interface at which what is inbound is to the device, as those written here.
inline constexpr std::string_view kAtDevice = "device";
inline constexpr std::uint16_t kOptionResolution = 9;
inline constexpr std::uint16_t kOptionOffset = 14;  ///< seconds that are added, signed
/// Both formats count a second in these.
inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

}  // namespace teeio::wire::pcapng
