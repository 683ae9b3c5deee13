#include <algorithm>

#include "host/pci_tsm/tdx/tdx_driver.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

// What proves a device, cut into the objects that iommufd's v7 names. The module keeps it as
// one: spdm::encode_evidence().

namespace teeio::tsm {
namespace {

constexpr std::uint32_t kCertificates = 2;
constexpr std::uint32_t kMeasurements = 3;
constexpr std::size_t kNonceAndZero = 4 + 32;

template <class Message>
bool skip(ByteView& rest) {
  const auto message = Message::decode(rest);
  if (!message) return false;
  rest = rest.subspan(message->wire.size());
  return true;
}

/// GET_VERSION to ALGORITHMS at the transcript's beginning (DSP0274: L1 has them from SPDM 1.2
/// on); empty where it does not begin with them.
ByteView agreement_in(ByteView transcript) {
  ByteView rest = transcript;
  const bool whole = skip<wire::SpdmGetVersion>(rest) && skip<wire::SpdmVersionResponse>(rest) &&
                     skip<wire::SpdmGetCapabilities>(rest) && skip<wire::SpdmCapabilities>(rest) &&
                     skip<wire::SpdmNegotiateAlgorithms>(rest) && skip<wire::SpdmAlgorithms>(rest);
  return whole ? transcript.first(transcript.size() - rest.size()) : ByteView();
}

/// The object in the device information; empty for a device that proves nothing.
Bytes part_of(ByteView info, std::uint32_t object) {
  Reader in(info);
  const auto chain_size = in.le<std::uint32_t>();
  const auto transcript_size = in.le<std::uint32_t>();
  const auto signature_size = in.le<std::uint32_t>();
  (void)in.take(kNonceAndZero);
  const ByteView chain = in.take(chain_size);
  const ByteView transcript = in.take(transcript_size);
  const ByteView signature = in.take(signature_size);
  if (!in.ok()) return {};
  if (object == kCertificates) return {chain.begin(), chain.end()};
  const ByteView agreement = agreement_in(transcript);
  if (object != kMeasurements) return {agreement.begin(), agreement.end()};
  const ByteView messages = transcript.subspan(agreement.size());
  Bytes part(messages.begin(), messages.end());
  part.insert(part.end(), signature.begin(), signature.end());
  return part;
}

}  // namespace

/// All of the module's information about the device, a page at a time.
Result<Bytes> TdxDriver::device_info(Card& card, std::uint64_t& code) {
  Bytes info;
  for (;;) {
    TEEIO_ASSIGN(
        const Bytes portion,
        connect_->read_evidence(card, static_cast<std::uint32_t>(info.size()), kPageSize, code));
    if (portion.empty()) return info;
    info.insert(info.end(), portion.begin(), portion.end());
  }
}

GuestOutcome TdxDriver::read_part(Card& card, std::uint32_t object, std::uint32_t offset,
                                  const GuestRequest& request) {
  std::uint64_t code = 0;
  const auto info = device_info(card, code);
  if (!info) return {std::unexpected(info.error()), code};
  Bytes part = part_of(*info, object);
  if (part.empty() && !info->empty() && object != kCertificates && object != kMeasurements)
    return {fail(Errno::kOpNotSupp, "before SPDM 1.2 no signature covers what was agreed"), code};
  const auto cut = static_cast<std::ptrdiff_t>(std::min<std::size_t>(offset, part.size()));
  part.erase(part.begin(), part.begin() + cut);
  part.resize(std::min(part.size(), request.response_limit));
  return {std::move(part), code};
}

}  // namespace teeio::tsm
