#include <gtest/gtest.h>

#include <set>

#include "wire/tdisp_messages.h"

namespace teeio::wire {
namespace {

const TdispMmioRange kRange{0xd'0000, 16, kMmioMsixTable, 4};

std::vector<TdispBody> one_of_each() {
  TdispNonce nonce{};
  nonce[31] = std::byte{0x5a};
  return {TdispVersion{{0x10}},
          TdispCapabilities{1, {0xfe}, 7, 52, 0, 1},
          TdispLockInterfaceResponse{nonce},
          TdispInterfaceReportPortion{9, Bytes(5, std::byte{3})},
          TdispInterfaceState{TdiState::kRun},
          TdispStartInterfaceResponse{},
          TdispStopInterfaceResponse{},
          TdispBindP2pStreamResponse{},
          TdispUnbindP2pStreamResponse{},
          TdispSetMmioAttributeResponse{},
          TdispVdmResponse{0, Bytes(2), Bytes(3)},
          TdispErrorResponse{0x102, 7, {}},
          TdispGetVersion{},
          TdispGetCapabilities{5},
          TdispLockInterface{kLockMsix, 4, 0x1000, 2},
          TdispGetInterfaceReport{0x40, 0x24},
          TdispGetInterfaceState{},
          TdispStartInterface{nonce},
          TdispStopInterface{},
          TdispBindP2pStream{2},
          TdispUnbindP2pStream{3},
          TdispSetMmioAttribute{kRange},
          TdispVdm{1, Bytes(4), {}}};
}

/// Messages whose last field runs to the end of the message.
bool open_ended(const TdispBody& body) {
  return std::holds_alternative<TdispVdm>(body) || std::holds_alternative<TdispVdmResponse>(body) ||
         std::holds_alternative<TdispErrorResponse>(body);
}

TEST(Tdisp, EveryMessageComesBack) {
  std::set<TdispCode> seen;
  for (const TdispBody& body : one_of_each()) {
    const TdispMessage message{{0x0100'beef}, body};
    const auto back = decode_tdisp(encode_tdisp(message));
    ASSERT_TRUE(back) << body.index();
    EXPECT_EQ(*back, message) << body.index();
    seen.insert(code_of(body));
  }
  EXPECT_EQ(seen.size(), kTdispMessages.size());
}

TEST(Tdisp, ARangeOnTheWireIsAPageNumberAndTheOffsetIsInBytes) {
  EXPECT_EQ(kRange.address(), 0xd000'0000U);
  EXPECT_EQ(kRange.moved(0x1000'0000).first_page, 0xe'0000U);
  EXPECT_EQ(kRange.moved(-std::uint64_t{0x1000}).address(), 0xcfff'f000U);
  EXPECT_EQ(kRange.moved(-std::uint64_t{0xd000'1000}).address(), 0xffff'ffff'ffff'f000U);
  Writer bytes;
  write_mmio_range(bytes, kRange);
  const Bytes written = bytes.take();
  EXPECT_EQ(Reader(written).le<std::uint64_t>(), 0xd'0000U);
}

TEST(Tdisp, EveryPrefixIsRefused) {
  for (const TdispBody& body : one_of_each()) {
    const Bytes encoded = encode_tdisp({{1}, body});
    const std::size_t shortest = open_ended(body) ? TdispHeader::kSize + 1 : encoded.size();
    for (std::size_t size = 0; size < shortest; ++size)
      EXPECT_FALSE(decode_tdisp(ByteView(encoded).first(size)))
          << tdisp_name(std::to_underlying(code_of(body))) << " cut to " << size;
  }
}

TEST(Tdisp, ATrailingByteIsAnInvalidRequest) {
  for (const TdispBody& body : one_of_each()) {
    if (open_ended(body)) continue;
    Bytes encoded = encode_tdisp({{1}, body});
    encoded.push_back(std::byte{0});
    const auto rest = ByteView(encoded).subspan(TdispHeader::kSize);
    EXPECT_EQ(decode_tdisp_body(std::to_underlying(code_of(body)), rest).error(),
              TdispError::kInvalidRequest);
    EXPECT_EQ(decode_tdisp(encoded).error().code, Errno::kInval);
  }
}

TEST(Tdisp, CodesOutsideTheTableAreUnsupported) {
  std::set<std::uint8_t> known;
  for (const TdispRow& row : kTdispMessages) known.insert(std::to_underlying(row.code));
  for (unsigned code = 0; code < 256; ++code) {
    if (known.contains(static_cast<std::uint8_t>(code))) continue;
    EXPECT_EQ(decode_tdisp_body(static_cast<std::uint8_t>(code), {}).error(),
              TdispError::kUnsupportedRequest);
    EXPECT_EQ(tdisp_name(static_cast<std::uint8_t>(code)), "TDISP_UNKNOWN");
  }
}

TEST(Tdisp, AResponseHasItsRequestsCodeWithoutBitSeven) {
  for (const TdispRow& row : kTdispMessages) {
    EXPECT_EQ(row.request, (std::to_underlying(row.code) & 0x80U) != 0) << row.name;
    if (!row.request) continue;
    EXPECT_NE(tdisp_name(std::to_underlying(row.code) & 0x7fU), "TDISP_UNKNOWN") << row.name;
  }
}

TEST(Tdisp, LockInterfaceHasTheSpecsLayout) {
  const Bytes encoded =
      encode_tdisp({{0x0100'0208}, TdispLockInterface{kLockMsix, 4, 0x1122'3344'5566'7788, 0}});
  ASSERT_EQ(encoded.size(), 36U);
  EXPECT_EQ(encoded[0], std::byte{0x10});
  EXPECT_EQ(encoded[1], std::byte{0x83});
  EXPECT_EQ(encoded[4], std::byte{0x08});
  EXPECT_EQ(encoded[7], std::byte{0x01});
  EXPECT_EQ(encoded[16], std::byte{4});  // LOCK_MSIX
  EXPECT_EQ(encoded[18], std::byte{4});  // stream
  EXPECT_EQ(encoded[20], std::byte{0x88});
}

TEST(Tdisp, AnotherMajorVersionIsRefusedAsAMessageButReadableAsAHeader) {
  Bytes encoded = encode_tdisp({{1}, TdispGetVersion{}});
  encoded[0] = std::byte{0x20};
  EXPECT_EQ(decode_tdisp(encoded).error().code, Errno::kInval);
  ASSERT_TRUE(TdispHeader::decode(encoded));
  EXPECT_EQ(TdispHeader::decode(encoded)->version, 0x20);
}

TEST(TdispFunctionId, NamesASegmentOnlyWhenItHasOne) {
  EXPECT_EQ(TdispFunctionId::of({0, 1, 2, 3}).raw, 0x0113U);
  EXPECT_FALSE(TdispFunctionId::of({0, 1, 2, 3}).segment());
  EXPECT_EQ(TdispFunctionId::of({5, 1, 2, 3}).raw, 0x0105'0113U);
  EXPECT_EQ(TdispFunctionId::of({5, 1, 2, 3}).segment(), 5);
}

TEST(TdispReport, ComesBack) {
  const TdispReport report{kInfoDmaWithoutPasid, 3, 0, 0, {kRange, kRange}, Bytes(7, std::byte{1})};
  const auto back = TdispReport::decode(report.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, report);
}

TEST(TdispReport, RefusesEveryOtherLength) {
  const TdispReport report{0, 0, 0, 0, {kRange}, Bytes(3)};
  Bytes encoded = report.encode();
  for (std::size_t size = 0; size < encoded.size(); ++size)
    EXPECT_EQ(TdispReport::decode(ByteView(encoded).first(size)).error().code, Errno::kInval);
  encoded.push_back(std::byte{0});
  EXPECT_EQ(TdispReport::decode(encoded).error().code, Errno::kInval);
}

TEST(TdispReport, RefusesARangeCountThatWouldFillMemory) {
  Bytes encoded = TdispReport{}.encode();
  for (std::size_t i = 12; i < 16; ++i) encoded[i] = std::byte{0xff};
  EXPECT_EQ(TdispReport::decode(encoded).error().code, Errno::kTooBig);
}

TEST(TdispErrorNames, CoverEveryCode) {
  EXPECT_EQ(tdisp_error_name(0x104), "INVALID_DEVICE_CONFIGURATION");
  EXPECT_EQ(tdisp_error_name(0x0041), "VERSION_MISMATCH");
  EXPECT_EQ(tdisp_error_name(2), "TDISP_ERROR_UNKNOWN");
  EXPECT_EQ(tdi_state_name(TdiState{9}), "TDI_STATE_UNKNOWN");
}

}  // namespace
}  // namespace teeio::wire
