#include "firmware/tdx/measurement.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"

namespace teeio::tdx {
namespace {

constexpr std::size_t kMac = 224;  ///< its place in REPORTMACSTRUCT, which it covers up to there

/// The processor's secret for reports; the machine has one package.
crypto::Digest report_mac(ByteView covered) {
  constexpr std::string_view kKey = "the processor's key of reports";
  return crypto::hmac(crypto::HashAlgorithm::kSha256, std::as_bytes(std::span(kKey)), covered);
}

Bytes td_info(const Td& td) {
  Writer info;
  info.le(td.parameters.attributes).le(std::uint64_t{0}).bytes(td.mrtd);
  info.zeros(3 * sizeof(Measurement));  // MRCONFIGID, MROWNER, MROWNERCONFIG: no TD_PARAMS page
  for (const Measurement& rtmr : td.rtmrs) info.bytes(rtmr);
  info.zeros(sizeof(Measurement)).zeros(64);  // no service TDs
  return info.take();
}

}  // namespace

void measure(Td& td, std::string_view leaf, Gpa gpa) {
  Writer block;
  block.bytes(std::as_bytes(std::span(leaf))).zeros(16 - leaf.size()).le(raw(gpa)).zeros(104);
  td.built.update(block.take());
}

Bytes make_td_report(const Td& td, ByteView data) {
  constexpr std::uint32_t kTdx = 0x81;  // TEE type TDX, subtype 0, version 0
  const Bytes info = td_info(td);
  const Bytes tcb_info(256);
  Writer report;
  report.le(kTdx).zeros(12).zeros(16);  // one CPUSVN: 0
  report.bytes(crypto::hash(crypto::HashAlgorithm::kSha384, tcb_info));
  report.bytes(crypto::hash(crypto::HashAlgorithm::kSha384, info));
  report.bytes(data).zeros(32);
  Bytes out = report.take();
  TEEIO_CHECK(out.size() == kMac, "REPORTMACSTRUCT's fields fill it");
  const crypto::Digest mac = report_mac(out);
  out.insert(out.end(), mac.view().begin(), mac.view().end());
  out.insert(out.end(), tcb_info.begin(), tcb_info.end());
  out.insert(out.end(), info.begin(), info.end());
  TEEIO_CHECK(out.size() == kTdReportBytes, "TDREPORT_STRUCT's parts fill it");
  return out;
}

bool is_own_report(ByteView mac_struct) {
  return std::ranges::equal(report_mac(mac_struct.first(kMac)).view(), mac_struct.subspan(kMac));
}

}  // namespace teeio::tdx
