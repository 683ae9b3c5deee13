#include <fmt/format.h>

#include <set>

#include "serve/validate/bench.h"
#include "wire/doe.h"

namespace teeio::serve::validate {
namespace {

using wire::DoeDiscoveryResponse;
using wire::DoeObject;
using wire::DoeType;

constexpr std::uint8_t kDiscovery = 0;
constexpr std::uint16_t kNoVendor = 0xffff;
constexpr std::uint8_t kUnusedType = 0xe7;  // PCI-SIG has given out a handful

Bytes object(std::uint16_t vendor, std::uint8_t type, ByteView payload) {
  return DoeObject{vendor, type, payload}.encode();
}

std::expected<DoeDiscoveryResponse, std::string> discover(Link& link, ByteView payload) {
  const Reply reply = link.packet(object(wire::kPciSigVendorId, kDiscovery, payload));
  if (!reply.answered()) return std::unexpected(reply.str());
  const auto answer = DoeObject::decode(reply.bytes);
  if (!answer) return std::unexpected(std::string(answer.error().why));
  if (answer->vendor_id != wire::kPciSigVendorId || answer->type != kDiscovery)
    return std::unexpected(fmt::format("an object of type {:#04x} came", answer->type));
  const auto response = DoeDiscoveryResponse::decode(answer->payload);
  if (!response) return std::unexpected(std::string(response.error().why));
  return *response;
}

std::expected<DoeDiscoveryResponse, std::string> discover(Link& link, std::uint8_t index) {
  return discover(link, wire::DoeDiscoveryRequest{index}.encode());
}

/// Every protocol that discovery lists, by walking it.
std::expected<std::set<std::pair<unsigned, unsigned>>, std::string> walk(Link& link) {
  std::set<std::pair<unsigned, unsigned>> found;
  std::uint8_t index = 0;
  do {
    const auto response = discover(link, index);
    if (!response) return std::unexpected(fmt::format("index {}: {}", index, response.error()));
    if (response->next_index != 0 && response->next_index <= index)
      return std::unexpected(
          fmt::format("index {} says that {} is next", index, response->next_index));
    found.emplace(response->vendor_id, response->type);
    index = response->next_index;
  } while (index != 0);
  return found;
}

Verdict first_is_discovery(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const auto response = discover(link, std::uint8_t{0});
  TEEIO_CASE(response.has_value(), "{}", response.error());
  TEEIO_CASE(response->vendor_id == wire::kPciSigVendorId && response->type == kDiscovery,
             "index 0 is vendor {:#06x}, type {:#04x}", response->vendor_id, response->type);
  return passed();
}

Verdict walk_ends(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const auto found = walk(link);
  TEEIO_CASE(found.has_value(), "{}", found.error());
  return passed();
}

Verdict offers(Bench& bench, DoeType type) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const auto found = walk(link);
  TEEIO_CASE(found.has_value(), "{}", found.error());
  TEEIO_CASE(found->contains({wire::kPciSigVendorId, std::to_underlying(type)}),
             "type {:#04x} is not in the list of {}", std::to_underlying(type), found->size());
  return passed();
}
Verdict offers_spdm(Bench& bench) { return offers(bench, DoeType::kSpdm); }
Verdict offers_secured_spdm(Bench& bench) { return offers(bench, DoeType::kSecuredSpdm); }

Verdict beyond_the_last(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const auto response = discover(link, std::uint8_t{0xff});
  TEEIO_CASE(response.has_value(), "{}", response.error());
  TEEIO_CASE(response->vendor_id == kNoVendor, "vendor {:#06x} is named", response->vendor_id);
  TEEIO_CASE(response->next_index == 0, "index {} is said to be next", response->next_index);
  return passed();
}

Verdict reserved_bits(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  // Bits 31:8 of the request are reserved in DOE 1.0 (15:8 is a version since 1.1).
  const auto response =
      discover(link, Bytes{std::byte{0}, std::byte{0}, std::byte{0xa5}, std::byte{0x5a}});
  TEEIO_CASE(response.has_value(), "{}", response.error());
  TEEIO_CASE(response->type == kDiscovery, "type {:#04x} is named", response->type);
  return passed();
}

Verdict is_refused(Bench& bench, ByteView bad) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const Reply reply = link.packet(bad);
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict is_alive(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link next, bench.link());
  const auto alive = discover(next, std::uint8_t{0});
  TEEIO_CASE(alive.has_value(), "afterwards discovery fails: {}", alive.error());
  return passed();
}

/// Whatever happened to `bad`, later connections must be served. Not both at
/// once: a responder may have one connection at a time. The first one after it
/// may meet the end of a responder that is started anew.
Verdict dropped(Bench& bench, ByteView bad) {
  Verdict verdict = is_refused(bench, bad);
  if (verdict.kind != Verdict::Kind::kPass) return verdict;
  verdict = is_alive(bench);
  return verdict.kind == Verdict::Kind::kPass ? verdict : is_alive(bench);
}

Verdict unknown_type(Bench& bench) {
  return dropped(bench, object(wire::kPciSigVendorId, kUnusedType, Bytes(4)));
}
Verdict unknown_vendor(Bench& bench) {
  return dropped(bench, object(0xfffe, kDiscovery, Bytes(4)));
}
Verdict length_too_long(Bench& bench) {
  Bytes bytes = object(wire::kPciSigVendorId, kDiscovery, Bytes(4));
  bytes[4] = std::byte{0x40};  // DWORDs
  return dropped(bench, bytes);
}
Verdict length_too_short(Bench& bench) {
  Bytes bytes = object(wire::kPciSigVendorId, kDiscovery, Bytes(4));
  bytes[4] = std::byte{2};  // only the header
  return dropped(bench, bytes);
}
Verdict no_whole_header(Bench& bench) {
  const Bytes bytes = object(wire::kPciSigVendorId, kDiscovery, Bytes(4));
  return dropped(bench, ByteView(bytes).first(4));
}

constexpr Case kDoeCases[] = {
    {"discovery.first", "Index 0 of DOE discovery is discovery itself", "PCIe 6.30.1.1",
     first_is_discovery},
    {"discovery.walk", "Following Next Index visits ascending indices and ends", "PCIe 6.30.1.1",
     walk_ends},
    {"discovery.spdm", "Discovery lists CMA/SPDM", "PCIe 6.31.3", offers_spdm},
    {"discovery.secured", "Discovery lists Secured CMA/SPDM", "PCIe 6.31.4", offers_secured_spdm},
    {"discovery.beyond", "An index above the last is answered with vendor FFFFh and no next",
     "PCIe 6.30.1.1", beyond_the_last},
    {"discovery.reserved", "Reserved bits of a discovery request are ignored", "PCIe 6.30.1.1",
     reserved_bits},
    {"object.type", "An object of a type that is not listed is dropped unanswered", "PCIe 6.30.2",
     unknown_type},
    {"object.vendor", "An object of a vendor that is not listed is dropped unanswered",
     "PCIe 6.30.2", unknown_vendor},
    {"object.long", "An object whose Length is more than was sent is refused", "PCIe 6.30.1",
     length_too_long},
    {"object.short", "An object whose Length is less than was sent is refused", "PCIe 6.30.1",
     length_too_short},
    {"object.header", "Half a header is refused", "PCIe 6.30.1", no_whole_header},
};

}  // namespace

std::span<const Case> doe_cases() { return kDoeCases; }

}  // namespace teeio::serve::validate
