#pragma once

#include <string_view>

// Names in faults that no message on the wire brings.
namespace teeio::serve {

inline constexpr std::string_view kDiscovery = "DISCOVERY";
inline constexpr std::string_view kSilence = "SILENCE";
inline constexpr std::string_view kSecured = "SECURED";
inline constexpr std::string_view kSendEvent = "SEND_EVENT";
/// By code, from GET_TARGET_TSP_VERSION on; the last: there is no such request. As
/// intel/tee-io-validator names them.
inline constexpr std::string_view kCxlTsp[] = {"GET_TARGET_TSP_VERSION",
                                               "GET_TARGET_CAPABILITIES",
                                               "SET_TARGET_CONFIGURATION",
                                               "GET_TARGET_CONFIGURATION",
                                               "GET_TARGET_CONFIGURATION_REPORT",
                                               "LOCK_TARGET_CONFIGURATION",
                                               "TSP_UNKNOWN"};

}  // namespace teeio::serve
