#include "decode/mctp_assembler.h"

#include <algorithm>
#include <utility>

namespace teeio::decode {
namespace {

constexpr unsigned kTagBits = 0x0f;  // the tag, and whose it is
constexpr unsigned kSequenceShift = 4;
constexpr unsigned kSequenceMask = 3;

}  // namespace

Result<std::optional<ByteView>> MctpAssembler::add(const wire::MctpPacketHeader& header,
                                                   ByteView payload, std::size_t packet) {
  const bool start = (header.flags & kStart) != 0;
  const bool end = (header.flags & kEnd) != 0;
  const std::uint32_t key = std::uint32_t{header.source} << 16U |
                            std::uint32_t{header.destination} << 8U | (header.flags & kTagBits);
  cut_one_off_ = false;
  if (start && end) return payload;  // a message before it, of which this is no part, goes on
  const auto sequence =
      static_cast<std::uint8_t>(unsigned{header.flags} >> kSequenceShift & kSequenceMask);
  auto at = open_.find(key);
  if (start) {
    cut_one_off_ = at != open_.end();
    if (at == open_.end() && open_.size() == kMaxOpen)
      open_.erase(std::ranges::min_element(open_, {}, [](const auto& o) { return o.second.last; }));
    at = open_.insert_or_assign(key, Open{.bytes = {}, .next_sequence = sequence, .first = packet})
             .first;
  }
  if (at == open_.end())
    return fail(Errno::kInval, "the MCTP packet belongs to no message that goes on here");
  Open& message = at->second;
  if (sequence != message.next_sequence) {
    open_.erase(at);
    return fail(
        Errno::kInval,
        "the MCTP packet is not the next one of its message: one is missing, twice or elsewhere");
  }
  if (message.bytes.size() + payload.size() > kMaxMessage) {
    open_.erase(at);
    return fail(Errno::kTooBig, "the MCTP message is longer than any of SPDM's");
  }
  message.bytes.insert(message.bytes.end(), payload.begin(), payload.end());
  message.next_sequence = static_cast<std::uint8_t>((sequence + 1U) & kSequenceMask);
  message.last = packet;
  if (!end) return std::nullopt;
  whole_ = std::move(message.bytes);
  open_.erase(at);
  return ByteView(whole_);
}

std::optional<std::size_t> MctpAssembler::unfinished() const {
  const auto at = std::ranges::min_element(open_, {}, [](const auto& o) { return o.second.first; });
  return at == open_.end() ? std::nullopt : std::optional(at->second.first);
}

}  // namespace teeio::decode
