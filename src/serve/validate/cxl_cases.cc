// What a CXL memory device answers beside PCIe's protocols: CXL's IDE_KM and TSP.

#include <utility>

#include "serve/cxl_memory.h"
#include "serve/validate/bench.h"

namespace teeio::serve::validate {
namespace {

enum class CxlProtocol : std::uint8_t { kIdeKm = 0, kTsp = 1 };

constexpr std::uint8_t kQueryResp = 1;
constexpr std::uint8_t kTspVersion10 = 0x10;
constexpr std::uint8_t kTspVersionRsp = 0x01;
constexpr std::uint8_t kTspCapabilitiesRsp = 0x02;
constexpr std::uint8_t kTspError = 0x7f;

/// The answer's message, without its protocol's byte; skipped when the device knows no CXL.
std::expected<Bytes, Verdict> ask(Session& session, CxlProtocol protocol, ByteView message) {
  static constexpr std::array kCxl{std::byte{CxlMemory::kVendorId & 0xff},
                                   std::byte{CxlMemory::kVendorId >> 8U}};
  const Bytes payload = Writer().le(std::to_underlying(protocol)).bytes(message).take();
  session.link().requester().send_app(session.id(), wire::VendorDefined::kPciSigStandardId, kCxl,
                                      payload);
  const Reply reply = session.link().run();
  if (reply.is_error(wire::SpdmErrorCode::kUnsupportedRequest))
    return std::unexpected(skipped("the device knows no messages of CXL's"));
  if (!reply.answered()) return std::unexpected(failed(reply.str() + " came"));
  const ByteView answer = session.link().requester().app_answer();
  if (answer.size() < 2 || answer.front() != std::byte{std::to_underlying(protocol)})
    return std::unexpected(failed("the answer is of another protocol"));
  return Bytes(answer.begin() + 1, answer.end());
}

std::uint8_t byte_at(const Bytes& in, std::size_t at) {
  return at < in.size() ? std::to_integer<std::uint8_t>(in[at]) : std::uint8_t{0xff};
}

Verdict ide_query(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  // Object 0, reserved, port 0. Source: libspdm include/industry_standard/cxl_idekm.h,
  // cxl_ide_km_query_t.
  const Bytes query = Writer().zeros(3).take();
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, CxlProtocol::kIdeKm, query));
  TEEIO_CASE(byte_at(answer, 0) == kQueryResp, "object {} came", byte_at(answer, 0));
  TEEIO_CASE(byte_at(answer, 2) == 0, "the answer is of port {}", byte_at(answer, 2));
  return passed();
}

Bytes tsp_request(std::uint8_t code) { return Writer().le(kTspVersion10).le(code).zeros(2).take(); }

Verdict tsp_version(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, CxlProtocol::kTsp, tsp_request(0x81)));
  TEEIO_CASE(byte_at(answer, 1) == kTspVersionRsp, "code {:#04x} came", byte_at(answer, 1));
  constexpr std::size_t kCount = 4;
  const std::size_t count = byte_at(answer, kCount);
  TEEIO_CASE(count > 0 && answer.size() >= kCount + 1 + count, "{} versions in {} bytes", count,
             answer.size());
  return passed();
}

Verdict tsp_capabilities(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, CxlProtocol::kTsp, tsp_request(0x82)));
  TEEIO_CASE(byte_at(answer, 1) == kTspCapabilitiesRsp, "code {:#04x} came", byte_at(answer, 1));
  return passed();
}

Verdict tsp_unknown(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, CxlProtocol::kTsp, tsp_request(0xfe)));
  TEEIO_CASE(byte_at(answer, 1) == kTspError, "code {:#04x} came", byte_at(answer, 1));
  return passed();
}

constexpr Case kCxlCases[] = {
    {"ide_km.query", "QUERY of port 0 gets QUERY_RESP of port 0", "CXL 3.1, CXL_IDE_KM", ide_query},
    {"tsp.version", "GET_TARGET_TSP_VERSION gets a list", "CXL 3.1, 11.5 TSP", tsp_version},
    {"tsp.capabilities", "GET_TARGET_CAPABILITIES gets them", "CXL 3.1, 11.5 TSP",
     tsp_capabilities},
    {"tsp.unknown", "A TSP request that does not exist gets TSP's error", "CXL 3.1, 11.5 TSP",
     tsp_unknown},
};

}  // namespace

std::span<const Case> cxl_cases() { return kCxlCases; }

}  // namespace teeio::serve::validate
