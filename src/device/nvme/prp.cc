#include "device/nvme/prp.h"

#include <algorithm>
#include <array>

namespace teeio::nvme {
namespace {

constexpr std::uint64_t kOffsetMask = kPage - 1;
constexpr std::uint32_t kPrpBytes = 8;

}  // namespace

/// Pages that follow each other are one request.
void DataBuffer::add(std::uint64_t address, std::uint32_t bytes) {
  if (!segments_.empty() && segments_.back().address + segments_.back().bytes == address)
    segments_.back().bytes += bytes;
  else
    segments_.push_back({address, bytes});
}

Outcome<void> DataBuffer::find(const Command& command, std::uint32_t length) {
  segments_.clear();
  if ((command.prp1 & 3U) != 0) return std::unexpected(Status::kPrpOffsetInvalid);
  const auto first =
      std::min(length, static_cast<std::uint32_t>(kPage - (command.prp1 & kOffsetMask)));
  add(command.prp1, first);
  const std::uint32_t left = length - first;
  if (left == 0) return {};
  if (left > kPage) return walk_list(command.prp2, left);
  if ((command.prp2 & kOffsetMask) != 0) return std::unexpected(Status::kPrpOffsetInvalid);
  add(command.prp2, left);
  return {};
}

/// The first list may begin within its page. One that does not hold all has in its last entry
/// where the next one is, which begins a page.
Outcome<void> DataBuffer::walk_list(std::uint64_t list, std::uint32_t left) {
  if (list % kPrpBytes != 0) return std::unexpected(Status::kPrpOffsetInvalid);
  while (left > 0) {
    const auto room = static_cast<std::uint32_t>((kPage - (list & kOffsetMask)) / kPrpBytes);
    const std::uint32_t wanted = (left + kPage - 1) / kPage;
    const bool goes_on = wanted > room;
    std::array<std::byte, kPage> entries;
    const auto bytes = std::span(entries).first(std::min(wanted, room) * std::size_t{kPrpBytes});
    if (!host_.read(list, bytes)) return std::unexpected(Status::kDataTransferError);
    Reader r{ByteView(bytes)};
    for (std::uint32_t i = 0; i < (goes_on ? room - 1 : wanted); ++i) {
      const auto entry = r.le<std::uint64_t>();
      if ((entry & kOffsetMask) != 0) return std::unexpected(Status::kPrpOffsetInvalid);
      const std::uint32_t part = std::min(left, kPage);
      add(entry, part);
      left -= part;
    }
    if (!goes_on) break;
    list = r.le<std::uint64_t>();
    if ((list & kOffsetMask) != 0) return std::unexpected(Status::kPrpOffsetInvalid);
  }
  return {};
}

Outcome<void> DataBuffer::read(std::span<std::byte> out) {
  for (const Segment& segment : segments_) {
    if (!host_.read(segment.address, out.first(segment.bytes)))
      return std::unexpected(Status::kDataTransferError);
    out = out.subspan(segment.bytes);
  }
  return {};
}

Outcome<void> DataBuffer::write(ByteView in) {
  for (const Segment& segment : segments_) {
    if (!host_.write(segment.address, in.first(segment.bytes)))
      return std::unexpected(Status::kDataTransferError);
    in = in.subspan(segment.bytes);
  }
  return {};
}

}  // namespace teeio::nvme
