// Which faults there are, and with which messages each goes.
#include "serve/fault_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "serve/faults.h"

namespace teeio::serve {
namespace {

using Kind = Fault::Kind;
using Names = std::span<const std::string_view>;

constexpr std::string_view kIdeKm[] = {"QUERY", "KEY_PROG", "K_SET_GO", "K_SET_STOP"};
constexpr std::string_view kTdisp[] = {"GET_TDISP_VERSION",
                                       "GET_TDISP_CAPABILITIES",
                                       "LOCK_INTERFACE",
                                       "GET_DEVICE_INTERFACE_REPORT",
                                       "GET_DEVICE_INTERFACE_STATE",
                                       "START_INTERFACE",
                                       "STOP_INTERFACE"};
constexpr std::string_view kSpdm[] = {"GET_VERSION",
                                      "GET_CAPABILITIES",
                                      "NEGOTIATE_ALGORITHMS",
                                      "GET_DIGESTS",
                                      "GET_CERTIFICATE",
                                      "CHALLENGE",
                                      "GET_MEASUREMENTS",
                                      "GET_MEASUREMENT_EXTENSION_LOG",
                                      "KEY_EXCHANGE",
                                      "FINISH",
                                      "PSK_EXCHANGE",
                                      "HEARTBEAT",
                                      "KEY_UPDATE",
                                      "END_SESSION",
                                      "GET_CSR",
                                      "SET_CERTIFICATE",
                                      "GET_KEY_PAIR_INFO",
                                      "SET_KEY_PAIR_INFO",
                                      "GET_ENDPOINT_INFO",
                                      "SLOT_MANAGEMENT",
                                      "GET_SUPPORTED_EVENT_TYPES",
                                      "SUBSCRIBE_EVENT_TYPES"};
// Those of which refusals are asked for.
constexpr std::string_view kRefusedSpdm[] = {"GET_VERSION",
                                             "GET_CAPABILITIES",
                                             "NEGOTIATE_ALGORITHMS",
                                             "GET_DIGESTS",
                                             "GET_CERTIFICATE",
                                             "CHALLENGE",
                                             "GET_MEASUREMENTS",
                                             "GET_MEASUREMENT_EXTENSION_LOG",
                                             "KEY_EXCHANGE",
                                             "FINISH",
                                             "PSK_EXCHANGE",
                                             "HEARTBEAT",
                                             "GET_CSR",
                                             "SET_CERTIFICATE",
                                             "GET_KEY_PAIR_INFO",
                                             "SET_KEY_PAIR_INFO",
                                             "SLOT_MANAGEMENT",
                                             "GET_SUPPORTED_EVENT_TYPES",
                                             "SUBSCRIBE_EVENT_TYPES",
                                             "GET_ENCAPSULATED_REQUEST",
                                             "RESPOND_IF_READY",
                                             "CHUNK_SEND",
                                             "CHUNK_GET",
                                             "SPDM_UNKNOWN"};
constexpr std::string_view kRefusedIdeKm[] = {"QUERY", "KEY_PROG", "K_SET_GO", "IDE_KM_UNKNOWN"};
constexpr std::string_view kRefusedTdisp[] = {"GET_TDISP_VERSION",
                                              "LOCK_INTERFACE",
                                              "GET_DEVICE_INTERFACE_REPORT",
                                              "GET_DEVICE_INTERFACE_STATE",
                                              "START_INTERFACE",
                                              "VDM",
                                              "TDISP_UNKNOWN"};
constexpr std::string_view kRefusedCxl[] = {"CXL_KEY_PROG", "GET_TARGET_CAPABILITIES",
                                            "SET_TARGET_CONFIGURATION", "LOCK_TARGET_CONFIGURATION",
                                            "TSP_UNKNOWN"};
// What a device itself asks for travels in them.
constexpr std::string_view kEncapsulated[] = {"GET_ENCAPSULATED_REQUEST",
                                              "DELIVER_ENCAPSULATED_RESPONSE"};
constexpr std::string_view kReport[] = {"GET_DEVICE_INTERFACE_REPORT"};
constexpr std::string_view kUnanswered[] = {kSilence, kSecured};
// As intel/tee-io-validator names them.
constexpr std::string_view kCxlIdeKm[] = {"CXL_QUERY", "CXL_KEY_PROG", "CXL_K_SET_GO",
                                          "CXL_K_SET_STOP", "CXL_GETKEY"};
constexpr std::string_view kSigned[] = {"CHALLENGE", "GET_MEASUREMENTS", "KEY_EXCHANGE", "GET_CSR",
                                        "GET_ENDPOINT_INFO"};
// Whose answers sessions alone carry, and no transport pads.
constexpr std::string_view kOfSessions[] = {"HEARTBEAT", "KEY_UPDATE", "END_SESSION"};
constexpr std::string_view kHmac[] = {"KEY_EXCHANGE", "PSK_EXCHANGE"};
constexpr std::string_view kDigests[] = {"GET_DIGESTS"};
constexpr std::string_view kCertificate[] = {"GET_CERTIFICATE"};
constexpr std::string_view kLock[] = {"LOCK_INTERFACE"};
constexpr std::string_view kAlone[] = {kDiscovery};
constexpr std::string_view kEvent[] = {kSendEvent};

struct Row {
  std::string_view name;
  Kind kind;
  std::array<Names, 8> messages;
};
constexpr Row kRows[] = {
    {"bad-signature", Kind::kBadSignature, {kSigned}},
    {"bad-hmac", Kind::kBadHmac, {kHmac}},
    {"bad-digest", Kind::kBadDigest, {kDigests}},
    {"bad-certificate", Kind::kBadCertificate, {kCertificate}},
    {"wrong-nonce", Kind::kWrongNonce, {kLock}},
    {"wrong-version", Kind::kWrongVersion, {kSpdm, kTdisp}},
    {"wrong-code", Kind::kWrongCode, {kSpdm, kEncapsulated, kIdeKm, kTdisp, kCxlIdeKm, kCxlTsp}},
    {"truncated",
     Kind::kTruncated,
     {kSpdm, kEncapsulated, kEvent, kIdeKm, kTdisp, kAlone, kCxlIdeKm, kCxlTsp}},
    {"longer", Kind::kLonger, {kOfSessions}},
    {"error", Kind::kError, {kSpdm, kIdeKm, kTdisp, kCxlIdeKm, kCxlTsp}},
    {"endless-busy", Kind::kEndlessBusy, {kSpdm, kIdeKm, kTdisp}},
    {"dropped", Kind::kDropped, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"late", Kind::kLate, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"accepted", Kind::kAccepted, {kRefusedSpdm, kRefusedIdeKm, kRefusedTdisp, kRefusedCxl}},
    {"moved-range", Kind::kMovedRange, {kReport}},
    {"repeated", Kind::kRepeated, {kUnanswered}},
    {"unasked", Kind::kUnasked, {kEvent}},
};

std::vector<std::string_view> messages_of(const Row& row) {
  std::vector<std::string_view> all;
  for (const Names& names : row.messages) all.insert(all.end(), names.begin(), names.end());
  return all;
}

}  // namespace

std::expected<Fault, std::string> parse_fault(std::string_view text) {
  const auto at = text.find('@');
  const std::string_view name = text.substr(0, at);
  const auto row = std::ranges::find(kRows, name, &Row::name);
  if (row == std::end(kRows)) {
    std::vector<std::string_view> names;
    for (const Row& one : kRows) names.push_back(one.name);
    return std::unexpected(
        fmt::format("there is no fault {}; there are {}", name, fmt::join(names, ", ")));
  }
  const auto messages = messages_of(*row);
  const std::string_view message = at == std::string_view::npos ? "" : text.substr(at + 1);
  if (std::ranges::find(messages, message) == messages.end())
    return std::unexpected(
        fmt::format("{}@MESSAGE takes one of {}", name, fmt::join(messages, ", ")));
  return Fault{row->kind, std::string(message)};
}

std::string fault_name(const Fault& fault) {
  return fmt::format("{}@{}", std::ranges::find(kRows, fault.kind, &Row::kind)->name,
                     fault.message);
}

std::vector<std::string> all_faults() {
  std::vector<std::string> all;
  for (const Row& row : kRows)
    for (const std::string_view message : messages_of(row))
      all.push_back(fmt::format("{}@{}", row.name, message));
  return all;
}

}  // namespace teeio::serve
