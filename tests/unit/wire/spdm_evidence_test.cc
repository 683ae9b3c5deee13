#include <gtest/gtest.h>

#include "golden.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"

namespace teeio::wire {
namespace {

template <std::size_t N>
std::array<std::byte, N> filled(unsigned value) {
  std::array<std::byte, N> out{};
  out.fill(static_cast<std::byte>(value));
  return out;
}

TEST(SpdmChallenge, HasAContextSinceOneThree) {
  SpdmChallenge m{.version = kSpdmVersion12,
                  .slot = 1,
                  .summary = 0xff,
                  .nonce = filled<32>(0x11),
                  .context = filled<8>(0x22)};
  expect_golden(m, "12 83 01 ff 11*32");
  m.version = kSpdmVersion13;
  expect_golden(m, "13 83 01 ff 11*32 22*8");
}

TEST(SpdmChallengeAuth, HasFieldsOfNegotiatedSizes) {
  const Bytes chain = unhex("cc*4");
  const Bytes summary = unhex("dd*4");
  const Bytes opaque = unhex("ee ee");
  const Bytes signature = unhex("99*6");
  SpdmChallengeAuth m{.version = kSpdmVersion11,
                      .slot = 1,
                      .basic_mutual_auth = true,
                      .slot_mask = 3,
                      .chain_hash = chain,
                      .nonce = filled<32>(0x11),
                      .summary_hash = summary,
                      .opaque = opaque,
                      .context = filled<8>(0x22),
                      .signature = signature};
  const SpdmSizes sizes{.hash = 4, .signature = 6, .summary_hash = 4};
  expect_golden(m, "11 03 81 03 cc*4 11*32 dd*4 02 00 ee ee 99*6", sizes);
  m.version = kSpdmVersion13;
  expect_golden(m, "13 03 81 03 cc*4 11*32 dd*4 02 00 ee ee 22*8 99*6", sizes);
}

TEST(SpdmGetMeasurements, HasNonceAndSlotOnlyForASignature) {
  SpdmGetMeasurements m{.version = kSpdmVersion12,
                        .raw_bit_stream = true,
                        .operation = 0xff,
                        .nonce = filled<32>(0x11),
                        .slot = 2,
                        .context = filled<8>(0x22)};
  expect_golden(m, "12 e0 02 ff");
  m.sign = true;
  expect_golden(m, "12 e0 03 ff 11*32 02");
  m.version = kSpdmVersion10;
  expect_golden(m, "10 e0 01 ff 11*32");
  m.version = kSpdmVersion13;
  m.new_measurement = true;
  expect_golden(m, "13 e0 07 ff 11*32 02 22*8");
  m.sign = false;
  expect_golden(m, "13 e0 06 ff 22*8");
}

TEST(SpdmMeasurements, CarriesBlocks) {
  const Bytes value = unhex("ab*4");
  Writer record;
  SpdmMeasurementBlock{
      .index = 1, .type = SpdmMeasurementType::kMutableFirmware, .raw = false, .value = value}
      .append_to(record);
  const Bytes blocks = record.take();
  EXPECT_EQ(hex(blocks), hex(unhex("01 01 07 00 01 04 00 ab*4")));
  const Bytes signature = unhex("99*6");
  SpdmMeasurements m{.version = kSpdmVersion12,
                     .total = 0,
                     .slot = 1,
                     .content_changed = 2,
                     .blocks = 1,
                     .record = blocks,
                     .nonce = filled<32>(0x11),
                     .opaque = {},
                     .context = filled<8>(0x22),
                     .signature = signature};
  const SpdmSizes sizes{.signature = 6};
  const auto back =
      expect_golden(m, "12 60 00 21 01 0b 00 00 01 01 07 00 01 04 00 ab*4 11*32 00 00 99*6", sizes);
  EXPECT_EQ(back.content_changed, 2);
  m.version = kSpdmVersion13;
  m.signature = {};
  expect_golden(m, "13 60 00 21 01 0b 00 00 01 01 07 00 01 04 00 ab*4 11*32 00 00 22*8",
                SpdmSizes{});
}

TEST(SpdmMeasurementBlock, TakesOneAfterTheOther) {
  const Bytes record = unhex("01 01 04 00 81 01 00 55 fe 01 05 00 85 02 00 66 77");
  ByteView rest = record;
  const auto first = SpdmMeasurementBlock::take(rest);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->raw);
  EXPECT_EQ(first->type, SpdmMeasurementType::kMutableFirmware);
  const auto second = SpdmMeasurementBlock::take(rest);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->index, kSpdmDeviceModeIndex);
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(SpdmMeasurementBlock::take(rest));
}

TEST(SpdmMeasurementBlock, RefusesSizesThatContradictEachOther) {
  for (const char* text : {"01 01 04 00 81 02 00 55", "01 01 04 00 81 00 00 55",
                           "01 01 05 00 81 01 00 55", "01 02 04 00 81 01 00 55"}) {
    const Bytes record = unhex(text);
    ByteView rest = record;
    EXPECT_FALSE(SpdmMeasurementBlock::take(rest)) << text;
    EXPECT_EQ(rest.size(), record.size());
  }
}

TEST(SpdmMeasurementExtensionLog, IsReadInPortions) {
  expect_golden(SpdmGetMeasurementExtensionLog{.offset = 16, .length = 0x100},
                "13 ef 00 00 10 00 00 00 00 01 00 00");
  const Bytes portion = unhex("aa bb");
  expect_golden(SpdmMeasurementExtensionLog{.portion = portion, .remainder = 5},
                "13 6f 00 00 02 00 00 00 05 00 00 00 aa bb");
}

TEST(SpdmMeasurementExtensionLog, HasEntriesBehindItsHeader) {
  const Bytes value = unhex("76 31");
  Writer entries;
  SpdmMelEntry{.mel_index = 1, .measurement_index = 2, .raw = true, .value = value}.append_to(
      entries);
  const Bytes body = entries.take();
  Writer log;
  log.bytes(SpdmMelHeader{1, static_cast<std::uint32_t>(body.size())}.encode()).bytes(body);
  const Bytes all = log.take();
  EXPECT_EQ(hex(all), hex(unhex("01 00 00 00 0d 00 00 00 00*8 01 00 00 00 02 00 00 00 89 02 00 "
                                "76 31")));
  const auto header = SpdmMelHeader::decode(all);
  ASSERT_TRUE(header);
  ByteView rest = ByteView(all).subspan(SpdmMelHeader::kSize);
  EXPECT_TRUE(SpdmMelEntry::take(rest));
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(SpdmMelHeader::decode(ByteView(all).first(all.size() - 1)));
}

TEST(SpdmEvents, GroupsListTheirTypes) {
  const Bytes types = unhex("01 00 00 00 04 00 00 00");
  Writer w;
  SpdmEventGroup{
      .registry = 0, .vendor_id = {}, .group_version = 1, .attributes = 1, .types = types}
      .append_to(w);
  const Bytes groups = w.take();
  expect_golden(SpdmSupportedEventTypes{.group_count = 1, .groups = groups},
                "13 62 01 00 12 00 00 00 00 00 02 00 01 00 01 00 00 00 01 00 00 00 04 00 00 00");
  expect_golden(SpdmSubscribeEventTypes{.group_count = 1, .groups = groups},
                "13 f0 01 00 12 00 00 00 00 00 02 00 01 00 01 00 00 00 01 00 00 00 04 00 00 00");
  expect_golden(SpdmSubscribeEventTypes{}, "13 f0 00 00");
  ByteView rest = groups;
  EXPECT_TRUE(SpdmEventGroup::take(rest));
  rest = ByteView(groups).first(groups.size() - 1);
  EXPECT_FALSE(SpdmEventGroup::take(rest));
}

TEST(SpdmSendEvent, CountsItsEvents) {
  const Bytes detail = unhex("04");
  Writer w;
  SpdmEvent{.instance = 7, .registry = 0, .vendor_id = {}, .type = 4, .detail = detail}.append_to(
      w);
  const Bytes events = w.take();
  const auto back = expect_golden(SpdmSendEvent{.count = 1, .events = events},
                                  "13 f1 00 00 01 00 00 00 07 00 00 00 00*4 00 00 04 00 01 00 04");
  EXPECT_EQ(back.events.size(), events.size());
  EXPECT_FALSE(SpdmSendEvent::decode(unhex("13 f1 00 00 ff ff ff ff 07 00 00 00 00*4 00 00 04")));
}

TEST(SpdmEndpointInfo, HasANonceOnlyWithASignature) {
  SpdmGetEndpointInfo get{.subcode = 1, .slot = 2, .sign = true, .nonce = filled<32>(0x11)};
  expect_golden(get, "13 87 01 02 01 00 00 00 11*32");
  get.sign = false;
  expect_golden(get, "13 87 01 02 00 00 00 00");
  const Bytes info = unhex("aa bb");
  const Bytes signature = unhex("99*6");
  SpdmEndpointInfo m{.slot = 2, .nonce = filled<32>(0x11), .info = info, .signature = signature};
  expect_golden(m, "13 07 00 02 00*4 11*32 02 00 00 00 aa bb 99*6", SpdmSizes{.signature = 6});
  m.signature = {};
  expect_golden(m, "13 07 00 02 00*4 02 00 00 00 aa bb", SpdmSizes{});
}

}  // namespace
}  // namespace teeio::wire
