#include "fuzzer.h"
#include "wire/tdisp_report.h"

void teeio::fuzz::run(ByteView input) {
  if (input.size() > wire::TdispReport::kMaxSize) return;
  const auto report = wire::TdispReport::decode(input);
  if (!report) return;
  const auto back = wire::TdispReport::decode(report->encode());
  TEEIO_CHECK(back && *back == *report, "a TDI report does not come back");
}
