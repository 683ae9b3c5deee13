#include <gtest/gtest.h>

#include "golden.h"
#include "wire/ide_km.h"
#include "wire/ide_registers.h"
#include "wire/tdisp_messages.h"

// Golden bytes follow PCIe Base Spec 6.33.3 and 11.3, field by field, checked
// against the layouts of libspdm pci_idekm.h and pci_tdisp.h.
namespace teeio::wire {
namespace {

void expect_ide_km(const IdeKmMessage& message, std::string_view golden) {
  EXPECT_EQ(hex(encode_ide_km(message)), hex(unhex(golden)));
  const auto back = decode_ide_km(unhex(golden));
  ASSERT_TRUE(back) << back.error().why;
  EXPECT_EQ(*back, message);
}

TEST(IdeKmGolden, EveryMessage) {
  const IdeKeySelector selector =
      IdeKeySelector::make(1, IdeDirection::kTx, IdeSubStream::kCompletion);
  IdeKey key;
  key.key.fill(std::byte{0xaa});
  expect_ide_km(IdeKmQuery{1}, "00 00 01");
  expect_ide_km(IdeKmQueryResp{1, 0x08, 2, 0, 7, {0x01020304}}, "01 00 01 08 02 00 07 04 03 02 01");
  expect_ide_km(IdeKmKeyProg{7, selector, 1, key},
                "02 00 00 07 00 23 01 aa*32 00 00 00 00 01 00 00 00");
  expect_ide_km(IdeKmKpAck{7, 3, selector, 1}, "03 00 00 07 03 23 01");
  expect_ide_km(IdeKmKSetGo{7, selector, 1}, "04 00 00 07 00 23 01");
  expect_ide_km(IdeKmKSetStop{7, selector, 1}, "05 00 00 07 00 23 01");
  expect_ide_km(IdeKmKGoStopAck{7, selector, 1}, "06 00 00 07 00 23 01");
}

void expect_tdisp(const TdispBody& body, std::string_view golden_body) {
  // Version, code, two reserved bytes, function ID, eight reserved bytes.
  const Bytes encoded = encode_tdisp({{0x0100'beef}, body});
  Writer w;
  w.le(std::uint8_t{0x10}).le(static_cast<std::uint8_t>(code_of(body)));
  w.bytes(unhex("00 00 ef be 00 01 00*8")).bytes(unhex(golden_body));
  const Bytes golden = w.take();
  EXPECT_EQ(hex(encoded), hex(golden));
  const auto back = decode_tdisp(golden);
  ASSERT_TRUE(back) << back.error().why;
  EXPECT_EQ(back->body, body);
}

TEST(TdispGolden, EveryRequest) {
  TdispNonce nonce{};
  nonce.fill(std::byte{0x5a});
  expect_tdisp(TdispGetVersion{}, "");
  expect_tdisp(TdispGetCapabilities{5}, "05 00 00 00");
  expect_tdisp(TdispLockInterface{kLockMsix, 4, 0xd0000000, 2},
               "04 00 04 00 00 00 00 d0 00 00 00 00 02 00 00 00 00 00 00 00");
  expect_tdisp(TdispGetInterfaceReport{0x40, 0x24}, "40 00 24 00");
  expect_tdisp(TdispGetInterfaceState{}, "");
  expect_tdisp(TdispStartInterface{nonce}, "5a*32");
  expect_tdisp(TdispStopInterface{}, "");
  expect_tdisp(TdispBindP2pStream{2}, "02");
  expect_tdisp(TdispUnbindP2pStream{3}, "03");
  expect_tdisp(TdispSetMmioAttribute{{0xd0000, 16, kMmioNonTeeMemory, 4}},
               "00 00 0d 00 00 00 00 00 10 00 00 00 04 00 04 00");
  expect_tdisp(TdispVdm{1, unhex("98 1e"), unhex("ee")}, "01 02 98 1e ee");
}

TEST(TdispGolden, EveryResponse) {
  TdispNonce nonce{};
  nonce.fill(std::byte{0x5a});
  expect_tdisp(TdispVersion{{0x10}}, "01 10");
  expect_tdisp(TdispCapabilities{1, {0xfe}, 7, 48, 2, 3},
               "01 00 00 00 fe 00*15 07 00 00 00 00 30 02 03");
  expect_tdisp(TdispLockInterfaceResponse{nonce}, "5a*32");
  expect_tdisp(TdispInterfaceReportPortion{9, unhex("aa bb")}, "02 00 09 00 aa bb");
  expect_tdisp(TdispInterfaceState{TdiState::kRun}, "02");
  expect_tdisp(TdispStartInterfaceResponse{}, "");
  expect_tdisp(TdispStopInterfaceResponse{}, "");
  expect_tdisp(TdispBindP2pStreamResponse{}, "");
  expect_tdisp(TdispUnbindP2pStreamResponse{}, "");
  expect_tdisp(TdispSetMmioAttributeResponse{}, "");
  expect_tdisp(TdispVdmResponse{0, unhex("01 00"), unhex("ee ee")}, "00 02 01 00 ee ee");
  const TdispVendorError vendor{1, unhex("98 1e"), unhex("77")};
  EXPECT_EQ(hex(vendor.encode()), "01 02 98 1e 77");
  expect_tdisp(TdispErrorResponse{0xff, 0, vendor.encode()},
               "ff 00 00 00 00 00 00 00 01 02 98 1e 77");
  const auto back = TdispVendorError::decode(vendor.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, vendor);
  EXPECT_FALSE(TdispVendorError::decode(unhex("01 03 98 1e")));
}

TEST(IdeRegisters, RoundTripWithLinksAndStreams) {
  IdeRegisters registers;
  registers.capability = IdeRegisters::kIdeKm;
  registers.links = {{1, 2}, {3, 4}};
  registers.streams = {{{0x05000001, 2}, 0x1f00, 1, {{0x00080001U, 2, 1}}}, {{0, 0}, 0, 0, {}}};
  const std::vector<std::uint32_t> raw = registers.encode();
  // Link, selective, IDE_KM; two link blocks and two streams, each less one.
  EXPECT_EQ(raw[0], 0x43U | 1U << 13U | 1U << 16U);
  ASSERT_EQ(raw.size(), 2 + 2 * 2 + (5 + 3) + 5U);
  const auto back = IdeRegisters::decode(raw);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->links, registers.links);
  EXPECT_EQ(back->streams, registers.streams);
  EXPECT_EQ(back->streams[0].stream_id(), 5);
  EXPECT_TRUE(back->streams[0].enabled());
  EXPECT_TRUE(back->streams[0].secure());
  EXPECT_EQ(back->streams[0].addresses[0].base(), 0x1'8000'0000U);
  for (std::size_t size = 0; size < raw.size(); ++size)
    EXPECT_FALSE(IdeRegisters::decode(std::span(raw).first(size))) << size;
}

// DMTF's responder answers QUERY with 74 zeros: no link, no stream.
TEST(IdeRegisters, IgnoresWhatIsBehindTheBlocks) {
  const std::vector<std::uint32_t> zeros(74);
  const auto registers = IdeRegisters::decode(zeros);
  ASSERT_TRUE(registers);
  EXPECT_TRUE(registers->links.empty());
  EXPECT_TRUE(registers->streams.empty());
}

TEST(IdeRegisters, AnAddressBlocksLimitIsItsLastByte) {
  const IdeAddressBlock block{0xfff00001, 3, 1};
  EXPECT_TRUE(block.valid());
  EXPECT_EQ(block.limit(), 0x3'ffff'ffffU);
}

}  // namespace
}  // namespace teeio::wire
