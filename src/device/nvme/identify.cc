#include "device/nvme/identify.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>

namespace teeio::nvme {
namespace {

/// Figure 244, "CNS Values".
enum Cns : std::uint8_t {
  kNamespace = 0x00,
  kController = 0x01,
  kActiveList = 0x02,
  kDescriptors = 0x03,
};

template <std::unsigned_integral T>
void put(IdentifyData& out, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out.at(at + i) = static_cast<std::byte>(std::uint64_t{value} >> (8 * i));
}

void put_text(IdentifyData& out, std::size_t at, std::string_view text, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i)
    out.at(at + i) = static_cast<std::byte>(i < text.size() ? text[i] : ' ');
}

std::string subsystem_name(const ControllerIdentity& identity) {
  std::string text = "nqn.2014-08.org.nvmexpress:uuid:";
  const auto uuid = uuid_of(identity, 0);
  for (std::size_t i = 0; i < uuid.size(); ++i)
    text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                        std::to_integer<unsigned>(uuid.at(i)));
  return text;
}

/// Figure 247. What is not set is not offered.
IdentifyData controller(const State& state) {
  const ControllerIdentity& who = state.identity;
  IdentifyData out{};
  put(out, 0, who.vendor);
  put(out, 2, who.vendor);
  put_text(out, 4, fmt::format("{:016x}-{:03}", who.serial, who.function), 20);
  put_text(out, 24, "teeio NVMe controller", 40);
  put_text(out, 64, kFirmwareRevision, 8);
  put(out, 77, kMdts);
  put(out, 78, who.function);  // CNTLID
  put(out, 80, kVersion);
  put(out, 111, std::uint8_t{1});  // an I/O controller
  put(out, 258, static_cast<std::uint8_t>(kAbortLimit - 1));
  put(out, 259, static_cast<std::uint8_t>(kEventLimit - 1));
  put(out, 260, std::uint8_t{0x03});  // one firmware slot, read-only
  put(out, 261, std::uint8_t{0x04});  // log pages have offsets
  put(out, 262, static_cast<std::uint8_t>(kErrorEntries - 1));
  put(out, 266, std::uint16_t{343});  // WCTEMP, CCTEMP
  put(out, 268, std::uint16_t{353});
  put(out, 512, std::uint8_t{0x66});  // entries of 2^6 and 2^4 bytes
  put(out, 513, std::uint8_t{0x44});
  put(out, 516, static_cast<std::uint32_t>(state.spaces.size()));
  put(out, 520, std::uint16_t{0x000c});  // Dataset Management, Write Zeroes
  put(out, 525, std::uint8_t{0x07});     // a volatile write cache, Flush for all namespaces too
  const std::string name = subsystem_name(who);
  std::ranges::copy(std::as_bytes(std::span(name)), out.begin() + 768);
  return out;
}

/// Figure 245.
IdentifyData name_space(const NameSpace& space) {
  const std::uint64_t blocks = space.bytes() >> kBlockShift;
  IdentifyData out{};
  put(out, 0, blocks);  // NSZE, NCAP, NUSE
  put(out, 8, blocks);
  put(out, 16, blocks);
  put(out, 33, std::uint8_t{0x09});   // deallocated blocks read as zero; Write Zeroes may do it
  put(out, 128, kBlockShift << 16U);  // the one format
  return out;
}

IdentifyData active_list(const State& state, std::uint32_t after) {
  IdentifyData out{};
  std::size_t at = 0;
  for (std::uint32_t nsid = after + 1; nsid <= state.spaces.size(); ++nsid, at += 4)
    put(out, at, nsid);
  return out;
}

/// 5.15.2.4: the UUID alone.
IdentifyData descriptors(const State& state, std::uint32_t nsid) {
  constexpr std::uint8_t kUuidType = 3;
  IdentifyData out{};
  const auto uuid = uuid_of(state.identity, nsid);
  put(out, 0, kUuidType);
  put(out, 1, static_cast<std::uint8_t>(uuid.size()));
  std::ranges::copy(uuid, out.begin() + 4);
  return out;
}

}  // namespace

std::array<std::byte, 16> uuid_of(const ControllerIdentity& identity, std::uint32_t nsid) {
  const Bytes bytes =
      Writer().le(identity.serial).le(identity.function).le(identity.vendor).le(nsid).take();
  // Version and variant take bits of their own: 12 of the 16 bytes above are kept whole, the
  // vendor makes room.
  std::array<std::byte, 16> uuid{};
  std::ranges::copy(ByteView(bytes).first(6), uuid.begin());
  uuid[6] = std::byte{0x80} | (bytes[10] & std::byte{0x0f});
  uuid[7] = bytes[6];
  uuid[8] = std::byte{0x80} | (bytes[11] & std::byte{0x3f});
  uuid[9] = bytes[7];
  std::ranges::copy(ByteView(bytes).subspan(8, 2), uuid.begin() + 10);
  std::ranges::copy(ByteView(bytes).subspan(12, 4), uuid.begin() + 12);
  return uuid;
}

Outcome<IdentifyData> identify(State& state, const Command& command) {
  const auto wrong = std::unexpected(Status::kInvalidNamespace);
  switch (command.cdw10 & 0xffU) {
    case kNamespace: {
      const NameSpace* const space = state.space(command.nsid);
      if (space == nullptr) return wrong;
      return name_space(*space);
    }
    case kController:
      return controller(state);
    case kActiveList:
      if (command.nsid >= kAllNamespaces - 1) return wrong;
      return active_list(state, command.nsid);
    case kDescriptors:
      if (state.space(command.nsid) == nullptr) return wrong;
      return descriptors(state, command.nsid);
    default:
      return std::unexpected(Status::kInvalidField);
  }
}

}  // namespace teeio::nvme
