#include <algorithm>

#include "firmware/rmm/application.h"
#include "wire/spdm.h"
#include "wire/spdm_certificates.h"

// What the host keeps for the realm, and the monitor's digests of it. Source: TF-RMM
// dev_assign_el0_app.c, dev_assign_dev_comm_set_cache() and its callers.

namespace teeio::rmm {
namespace {

using wire::SpdmCode;

std::uint8_t code_of(ByteView message) {
  return message.size() < 2 ? std::uint8_t{0} : std::to_integer<std::uint8_t>(message[1]);
}
bool is(ByteView message, SpdmCode code) { return code_of(message) == std::to_underlying(code); }

/// Without the padding behind it.
ByteView whole(ByteView message) {
  constexpr std::size_t kCapabilities = 20;
  std::size_t size = message.size();
  Reader in(message);
  if (is(message, SpdmCode::kVersion) && message.size() > 5)
    size = 6 + 2 * std::to_integer<std::size_t>(message[5]);
  else if (is(message, SpdmCode::kCapabilities))
    size = kCapabilities;
  else if (is(message, SpdmCode::kAlgorithms) || is(message, SpdmCode::kNegotiateAlgorithms))
    in.skip(4), size = in.le<std::uint16_t>();
  return message.first(std::min(size, message.size()));
}

/// Bytes of the base hash that ALGORITHMS selects.
std::size_t base_hash_bytes(ByteView algorithms) {
  Reader in(algorithms);
  in.skip(16);
  const auto selected = in.le<std::uint32_t>();
  if ((selected & 0b001001U) != 0) return 32;
  return (selected & 0b010010U) != 0 ? 48 : 64;
}

/// GET_MEASUREMENTS with a signature. Source: DSP0274, "GET_MEASUREMENTS request".
std::size_t measurements_request_bytes(ByteView request) {
  constexpr std::size_t kContext = 8;  // since 1.3
  constexpr std::uint8_t kVersion13 = 0x13;
  const bool context = !request.empty() && std::to_integer<std::uint8_t>(request[0]) >= kVersion13;
  return 4 + 32 + 1 + (context ? kContext : 0);
}

}  // namespace

void Application::cache_plain(ByteView message) {
  if (is(message, SpdmCode::kCertificate)) return cache_certificate(message);
  const bool versions = is(message, SpdmCode::kVersion);
  if (!versions && !is(message, SpdmCode::kCapabilities) && !is(message, SpdmCode::kAlgorithms))
    return;
  if (versions) {
    vca_.clear();
    chain_.clear();
    chain_begun_ = false;
  }
  if (is(message, SpdmCode::kAlgorithms)) spdm_hash_bytes_ = base_hash_bytes(message);
  const ByteView request = whole(request_);
  const ByteView response = whole(message);
  vca_.insert(vca_.end(), request.begin(), request.end());
  vca_.insert(vca_.end(), response.begin(), response.end());
  vca_digest_ = crypto::hash(hash_, vca_);
  exit_.flags |= CommExit::kCacheRequest | CommExit::kCacheResponse;
  exit_.object = CommExit::Object::kVca;
  exit_.cache_request_length = request.size();
  exit_.cache_response_length = response.size();
}

/// The first portion without the chain's header and the hash of its root.
void Application::cache_certificate(ByteView message) {
  constexpr std::size_t kChainHeader = 4;
  const auto answer = wire::SpdmCertificate::decode(message);
  if (!answer) return;
  const std::size_t skipped =
      std::min(answer->portion.size(), chain_begun_ ? 0 : kChainHeader + spdm_hash_bytes_);
  chain_begun_ = true;
  const ByteView part = answer->portion.subspan(skipped);
  chain_.insert(chain_.end(), part.begin(), part.end());
  if (answer->remainder == 0) certificate_digest_ = crypto::hash(hash_, chain_);
  exit_.flags |= CommExit::kCacheResponse;
  exit_.object = CommExit::Object::kCertificate;
  exit_.cache_response_offset = static_cast<std::uint64_t>(part.data() - message.data());
  exit_.cache_response_length = part.size();
}

/// Decrypted into the host's buffers: the request, and the response with its signature.
Result<void> Application::cache_measurements(const CommEnter& enter) {
  const spdm::Evidence* evidence = channel_->evidence();
  if (evidence == nullptr) return {};
  ByteView signed_part = evidence->transcript;
  if (signed_part.size() >= vca_.size() && std::ranges::equal(signed_part.first(vca_.size()), vca_))
    signed_part = signed_part.subspan(vca_.size());
  const std::size_t asked = std::min(signed_part.size(), measurements_request_bytes(signed_part));
  Bytes response(signed_part.begin() + static_cast<std::ptrdiff_t>(asked), signed_part.end());
  response.insert(response.end(), evidence->signature.begin(), evidence->signature.end());
  if (response.size() > kPageSize)
    return teeio::fail(Errno::kTooBig, "the measurements are longer than a page");
  TEEIO_TRY(memory_.write(enter.request, signed_part.first(asked)));
  TEEIO_TRY(memory_.write(enter.response, response));
  Bytes all(signed_part.begin(), signed_part.begin() + static_cast<std::ptrdiff_t>(asked));
  all.insert(all.end(), response.begin(), response.end());
  object_digest_ = crypto::hash(hash_, all);
  exit_.flags |= CommExit::kCacheRequest | CommExit::kCacheResponse;
  exit_.object = CommExit::Object::kMeasurements;
  exit_.cache_request_length = asked;
  exit_.cache_response_length = response.size();
  return {};
}

Result<void> Application::cache_report(const CommEnter& enter) {
  if (portion_.empty()) return {};
  const Bytes portion = std::exchange(portion_, {});
  TEEIO_TRY(memory_.write(enter.response, portion));
  if (report_over_) object_digest_ = crypto::hash(hash_, report_);
  exit_.flags |= CommExit::kCacheResponse;
  exit_.object = CommExit::Object::kReport;
  exit_.cache_response_offset = 0;
  exit_.cache_response_length = portion.size();
  return {};
}

}  // namespace teeio::rmm
