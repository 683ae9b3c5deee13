#include <gtest/gtest.h>

#include "golden.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_dispatch.h"

// Golden bytes follow DSP0274's tables, field by field; flags and sizes as
// DMTF's emulator sends them.
namespace teeio::wire {
namespace {

TEST(SpdmTable, EveryRequestHasAResponseThatPointsBack) {
  for (const SpdmRow& row : spdm_messages()) {
    if (row.code == SpdmCode::kError || row.code == SpdmCode::kRespondIfReady) continue;
    const SpdmRow* peer = spdm_row(static_cast<std::uint8_t>(row.peer));
    ASSERT_NE(peer, nullptr) << row.name;
    EXPECT_EQ(peer->peer, row.code) << row.name;
    EXPECT_EQ(peer->since, row.since) << row.name;
    EXPECT_NE(is_spdm_request(row.code), is_spdm_request(row.peer)) << row.name;
  }
}

TEST(SpdmTable, EveryRowHasAStructAndEveryStructARow) {
  EXPECT_EQ(std::tuple_size_v<SpdmMessageTypes>, spdm_messages().size());
  for (const SpdmRow& row : spdm_messages()) {
    SpdmCode seen{};
    EXPECT_TRUE(visit_spdm_type(static_cast<std::uint8_t>(row.code),
                                [&]<class Message>() { seen = Message::kCode; }));
    EXPECT_EQ(seen, row.code) << row.name;
  }
  EXPECT_FALSE(visit_spdm_type(0, []<class Message>() {}));
}

TEST(SpdmTable, AMessageOfALaterVersionIsNotSupportedInAnEarlierOne) {
  const auto early = SpdmHeartbeat::decode(unhex("10 e8 00 00"));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Errno::kOpNotSupp);
  EXPECT_TRUE(SpdmHeartbeat::decode(unhex("11 e8 00 00")));
  EXPECT_FALSE(SpdmHeartbeat::decode(unhex("15 e8 00 00")));
}

TEST(SpdmBare, IsItsHeader) {
  expect_golden(SpdmGetDigests{.version = kSpdmVersion11}, "11 81 00 00");
  expect_golden(SpdmHeartbeatAck{}, "12 68 00 00");
  expect_golden(SpdmEndSessionAck{}, "12 6c 00 00");
  expect_golden(SpdmGetEncapsulatedRequest{}, "12 ea 00 00");
  expect_golden(SpdmEventAck{.version = kSpdmVersion13}, "13 71 00 00");
}

TEST(SpdmGetCapabilities, GrowsWithTheVersion) {
  SpdmGetCapabilities m{.version = kSpdmVersion10,
                        .want_algorithms = true,
                        .ct_exponent = 0x14,
                        .extended_flags = 0,
                        .flags = kSpdmCapCert | kSpdmCapChal | kSpdmCapKeyEx,
                        .data_transfer_size = 0x1200,
                        .max_spdm_message_size = 0x28000};
  expect_golden(m, "10 e1 00 00");
  m.version = kSpdmVersion11;
  expect_golden(m, "11 e1 00 00 00 14 00 00 06 02 00 00");
  m.version = kSpdmVersion12;
  expect_golden(m, "12 e1 00 00 00 14 00 00 06 02 00 00 00 12 00 00 00 80 02 00");
  m.version = kSpdmVersion14;
  m.extended_flags = 1;
  const auto back = expect_golden(m, "14 e1 01 00 00 14 01 00 06 02 00 00 00 12 00 00 00 80 02 00");
  EXPECT_TRUE(back.want_algorithms);
}

TEST(SpdmCapabilities, HasFlagsSinceOneZero) {
  SpdmCapabilities m{.version = kSpdmVersion10,
                     .ct_exponent = 0,
                     .extended_flags = 0,
                     .flags = kSpdmCapMeasSig,
                     .data_transfer_size = 42,
                     .max_spdm_message_size = 42};
  expect_golden(m, "10 61 00 00 00 00 00 00 10 00 00 00");
  m.version = kSpdmVersion12;
  expect_golden(m, "12 61 00 00 00 00 00 00 10 00 00 00 2a 00 00 00 2a 00 00 00");
}

SpdmAlgorithmOffer offer() {
  SpdmAlgorithmOffer o;
  o.measurement_specification = kSpdmMeasurementDmtf;
  o.other_params = kSpdmOpaqueFormat1 | kSpdmMultiKeyConn;
  o.base_asym = 0x90;
  o.base_hash = 0x03;
  o.mel_specification = kSpdmMelDmtf;
  o.tables.dhe = 0x18;
  o.tables.aead = 0x02;
  o.tables.req_base_asym = 0x0f;
  o.tables.key_schedule = 1;
  return o;
}

TEST(SpdmCapabilities, CarriesTheSupportedAlgorithmsOfOneThree) {
  SpdmCapabilities m{.version = kSpdmVersion13};
  m.algorithms = offer();
  const auto back = expect_golden(m,
                                  "13 61 01 00 00 00 00 00 00 00 00 00 00*8 "
                                  "04 00 2e 00 01 12 90 00 00 00 03 00 00 00 00*12 00 00 00 01 "
                                  "02 20 18 00 03 20 02 00 04 20 0f 00 05 20 01 00");
  ASSERT_TRUE(back.algorithms);
  EXPECT_EQ(back.algorithms->tables, offer().tables);
}

TEST(SpdmNegotiateAlgorithms, HasNoTablesBeforeOneOne) {
  SpdmNegotiateAlgorithms m{.version = kSpdmVersion10, .offer = offer()};
  expect_golden(m, "10 e3 00 00 20 00 01 00 90 00 00 00 03 00 00 00 00*12 00 00 00 00");
  m.version = kSpdmVersion12;
  expect_golden(m,
                "12 e3 04 00 30 00 01 12 90 00 00 00 03 00 00 00 00*12 00 00 00 00 "
                "02 20 18 00 03 20 02 00 04 20 0f 00 05 20 01 00");
  m.version = kSpdmVersion14;
  m.offer.pqc_asym = 2;
  m.offer.tables.kem = 2;
  expect_golden(m,
                "14 e3 05 00 34 00 01 12 90 00 00 00 03 00 00 00 02 00 00 00 00*8 00 00 00 01 "
                "02 20 18 00 03 20 02 00 04 20 0f 00 05 20 01 00 07 20 02 00");
}

TEST(SpdmNegotiateAlgorithms, RefusesALengthThatIsNotItsOwn) {
  Bytes m = SpdmNegotiateAlgorithms{.version = kSpdmVersion12, .offer = offer()}.encode();
  m[4] = std::byte{0x31};
  EXPECT_EQ(SpdmNegotiateAlgorithms::decode(m).error().code, Errno::kInval);
}

TEST(SpdmNegotiateAlgorithms, RefusesTablesOutOfOrderAndReservedOnes) {
  const Bytes good = SpdmNegotiateAlgorithms{.version = kSpdmVersion12, .offer = offer()}.encode();
  Bytes twice = good;
  twice[36] = std::byte{2};  // AEAD's type becomes DHE's
  EXPECT_FALSE(SpdmNegotiateAlgorithms::decode(twice));
  Bytes reserved = good;
  reserved[32] = std::byte{1};
  EXPECT_FALSE(SpdmNegotiateAlgorithms::decode(reserved));
}

// A table may list algorithms of other registries; they are stepped over, and
// limited (DSP0274 1.1: 20 in all).
TEST(SpdmNegotiateAlgorithms, StepsOverExternalAlgorithmsUpToTheirLimit) {
  const auto with_external = [](unsigned count) {
    Writer w;
    w.bytes(unhex("11 e3 01 00")).le(static_cast<std::uint16_t>(36 + 4 * count));
    w.bytes(unhex("01 00 80 00 00 00 02 00 00 00 00*12"));
    w.le(static_cast<std::uint8_t>(count - 15)).zeros(3);
    w.zeros(std::size_t{4} * (count - 15));
    w.bytes(unhex("02 2f 10 00")).zeros(std::size_t{4} * 15);
    return w.take();
  };
  const Bytes most = with_external(20);
  const auto m = SpdmNegotiateAlgorithms::decode(most);
  ASSERT_TRUE(m) << m.error().why;
  EXPECT_EQ(m->offer.tables.dhe, 0x10);
  EXPECT_FALSE(SpdmNegotiateAlgorithms::decode(with_external(21)));
}

TEST(SpdmAlgorithms, SaysWhatWasChosen) {
  SpdmAlgorithms m{.version = kSpdmVersion12,
                   .measurement_specification = 1,
                   .other_params = kSpdmOpaqueFormat1,
                   .measurement_hash = 8,
                   .base_asym = 0x80,
                   .base_hash = 2,
                   .pqc_asym = 0,
                   .mel_specification = 1};
  m.tables.dhe = 0x10;
  m.tables.aead = 2;
  m.tables.key_schedule = 1;
  expect_golden(m,
                "12 63 03 00 30 00 01 02 08 00 00 00 80 00 00 00 02 00 00 00 00 00 00 00 00*7 "
                "00 00 00 00 00 02 20 10 00 03 20 02 00 05 20 01 00");
  m.version = kSpdmVersion13;
  expect_golden(m,
                "13 63 03 00 30 00 01 02 08 00 00 00 80 00 00 00 02 00 00 00 00 00 00 00 00*7 "
                "01 00 00 00 00 02 20 10 00 03 20 02 00 05 20 01 00");
}

TEST(SpdmAlgorithms, RefusesSeveralExternalChoices) {
  Bytes m = SpdmAlgorithms{.version = kSpdmVersion10}.encode();
  m[32] = std::byte{2};
  m.resize(m.size() + 8);
  m[4] = std::byte{44};
  EXPECT_FALSE(SpdmAlgorithms::decode(m));
}

TEST(SpdmSizes, AreThoseOfExactlyOneKnownBit) {
  EXPECT_EQ(spdm_hash_size(2), 48U);
  EXPECT_EQ(spdm_hash_size(3), 0U);
  EXPECT_EQ(spdm_hash_size(0x8000), 0U);
  EXPECT_EQ(spdm_signature_size(0x80), 96U);
  EXPECT_EQ(spdm_signature_size(8), 384U);
  EXPECT_EQ(spdm_exchange_size(0x10), 96U);
  EXPECT_EQ(spdm_aead_name(2), "AES-256-GCM");
}

}  // namespace
}  // namespace teeio::wire
