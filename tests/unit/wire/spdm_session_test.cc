#include "wire/spdm_session.h"

#include <gtest/gtest.h>

#include "golden.h"
#include "wire/spdm_error.h"
#include "wire/spdm_opaque.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::wire {
namespace {

SpdmRandom random_of(unsigned value) {
  SpdmRandom out{};
  out.fill(static_cast<std::byte>(value));
  return out;
}

TEST(SpdmKeyExchange, HasAPolicySinceOneTwo) {
  const Bytes exchange = unhex("bb*8");
  const Bytes opaque = unhex("ee*4");
  SpdmKeyExchange m{.version = kSpdmVersion12,
                    .summary = 1,
                    .slot = 2,
                    .session_id = 0xfffe,
                    .policy = 1,
                    .random = random_of(0x11),
                    .exchange = exchange,
                    .opaque = opaque};
  const SpdmSizes sizes{.exchange_request = 8};
  expect_golden(m, "12 e4 01 02 fe ff 01 00 11*32 bb*8 04 00 ee*4", sizes);
  m.version = kSpdmVersion11;
  expect_golden(m, "11 e4 01 02 fe ff 00 00 11*32 bb*8 04 00 ee*4", sizes);
}

TEST(SpdmKeyExchangeRsp, HasNoVerifyDataWhenTheHandshakeIsInTheClear) {
  const Bytes exchange = unhex("bb*8");
  const Bytes summary = unhex("dd*4");
  const Bytes signature = unhex("99*6");
  const Bytes verify = unhex("77*4");
  SpdmKeyExchangeRsp m{.version = kSpdmVersion12,
                       .heartbeat_period = 5,
                       .session_id = 0xffff,
                       .mut_auth = kSpdmMutAuthGetDigests,
                       .req_slot = 1,
                       .random = random_of(0x11),
                       .exchange = exchange,
                       .summary_hash = summary,
                       .opaque = {},
                       .signature = signature,
                       .verify_data = verify};
  const SpdmSizes sizes{
      .signature = 6, .exchange_response = 8, .summary_hash = 4, .verify_data = 4};
  expect_golden(m, "12 64 05 00 ff ff 04 01 11*32 bb*8 dd*4 00 00 99*6 77*4", sizes);
  m.verify_data = {};
  m.summary_hash = {};
  expect_golden(m, "12 64 05 00 ff ff 04 01 11*32 bb*8 00 00 99*6",
                SpdmSizes{.signature = 6, .exchange_response = 8});
}

TEST(SpdmFinish, HasASignatureWhenItSaysSo) {
  const Bytes signature = unhex("99*6");
  const Bytes verify = unhex("77*4");
  SpdmFinish m{.version = kSpdmVersion12, .req_slot = 3, .verify_data = verify};
  const SpdmSizes sizes{.signature = 6, .verify_data = 4};
  expect_golden(m, "12 e5 00 03 77*4", sizes);
  m.signature = signature;
  expect_golden(m, "12 e5 01 03 99*6 77*4", sizes);
  const Bytes opaque = unhex("ee");
  m.version = kSpdmVersion14;
  m.opaque = opaque;
  expect_golden(m, "14 e5 01 03 01 00 ee 99*6 77*4", sizes);
  EXPECT_FALSE(SpdmFinish::decode(m.encode(), SpdmSizes{.verify_data = 4}));
}

TEST(SpdmFinishRsp, HasOpaqueDataSinceOneFour) {
  expect_golden(SpdmFinishRsp{}, "12 65 00 00", SpdmSizes{});
  const Bytes verify = unhex("77*4");
  expect_golden(SpdmFinishRsp{.verify_data = verify}, "12 65 00 00 77*4",
                SpdmSizes{.verify_data = 4});
  expect_golden(SpdmFinishRsp{.version = kSpdmVersion14}, "14 65 00 00 00 00", SpdmSizes{});
}

TEST(SpdmPsk, RoundTrips) {
  const Bytes hint = unhex("41 42");
  const Bytes context = unhex("cc*4");
  const Bytes opaque = unhex("ee");
  const Bytes verify = unhex("77*4");
  expect_golden(SpdmPskExchange{.summary = 0xff,
                                .policy = 1,
                                .session_id = 0x0102,
                                .hint = hint,
                                .context = context,
                                .opaque = opaque},
                "12 e6 ff 01 02 01 02 00 04 00 01 00 41 42 cc*4 ee");
  expect_golden(SpdmPskExchangeRsp{.heartbeat_period = 1,
                                   .session_id = 0x0304,
                                   .summary_hash = {},
                                   .context = context,
                                   .opaque = opaque,
                                   .verify_data = verify},
                "12 66 01 00 04 03 00 00 04 00 01 00 cc*4 ee 77*4", SpdmSizes{.verify_data = 4});
  expect_golden(SpdmPskFinish{.verify_data = verify}, "12 e7 00 00 77*4",
                SpdmSizes{.verify_data = 4});
  expect_golden(SpdmPskFinishRsp{}, "12 67 00 00");
  expect_golden(SpdmPskFinishRsp{.version = kSpdmVersion14, .opaque = opaque},
                "14 67 00 00 01 00 ee");
}

TEST(SpdmSession, SmallMessagesRoundTrip) {
  expect_golden(SpdmKeyUpdate{.operation = 2, .tag = 9}, "12 e9 02 09");
  expect_golden(SpdmKeyUpdateAck{.operation = 2, .tag = 9}, "12 69 02 09");
  expect_golden(SpdmEndSession{.clear_negotiated_state = true}, "12 ec 01 00");
  EXPECT_EQ(spdm_session_id(0xfffe, 0x1234), 0x1234fffeU);
}

TEST(SpdmErrorMessage, ExtendedDataHasTheLengthOfItsCode) {
  const Bytes not_ready = SpdmNotReady{10, 0xe4, 3, 2}.encode();
  expect_golden(SpdmError{.code = 0x42, .data = 0, .extended = not_ready},
                "12 7f 42 00 0a e4 03 02");
  const Bytes large = SpdmLargeResponse{5}.encode();
  expect_golden(SpdmError{.code = 0x0f, .extended = large}, "12 7f 0f 00 05");
  const Bytes size = SpdmTooLarge{0x12345}.encode();
  expect_golden_open(SpdmError{.code = 0x0d, .extended = size}, "12 7f 0d 00 45 23 01 00", 4);
  const auto back = SpdmNotReady::decode(not_ready);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->token, 3);
  EXPECT_FALSE(SpdmNotReady::decode(ByteView(not_ready).first(3)));
  EXPECT_FALSE(SpdmTooLarge::decode(ByteView(size).first(3)));
  EXPECT_FALSE(SpdmLargeResponse::decode({}));
}

// libspdm answers CHUNK_GET with ResponseTooLarge and no size.
TEST(SpdmErrorMessage, MayLeaveOutTheSizeThatWasNeeded) {
  const auto error = SpdmError::decode(unhex("12 7f 0d 00"));
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->extended.empty());
  EXPECT_FALSE(SpdmError::decode(unhex("12 7f 42 00")));
  EXPECT_FALSE(SpdmError::decode(unhex("12 7f 0f 00")));
}

TEST(SpdmErrorMessage, VendorErrorsNameTheirVendor) {
  const Bytes vendor = unhex("01 00");
  const Bytes opaque = unhex("ee");
  const Bytes extended = SpdmVendorError{.vendor_id = vendor, .opaque = opaque}.encode();
  EXPECT_EQ(hex(extended), "02 01 00 ee");
  expect_golden_open(SpdmError{.code = 0xff, .data = 3, .extended = extended},
                     "12 7f ff 03 02 01 00 ee", 4);
  EXPECT_FALSE(SpdmVendorError::decode(unhex("03 01 00")));
  EXPECT_FALSE(SpdmVendorError::decode({}));
}

TEST(SpdmRespondIfReady, NamesRequestAndToken) {
  expect_golden(SpdmRespondIfReady{.request_code = 0xe4, .token = 3}, "12 ff e4 03");
}

TEST(SpdmErrorNames, ComeFromTheEnumeration) {
  EXPECT_EQ(spdm_error_name(0x42), "ResponseNotReady");
  EXPECT_EQ(spdm_error_name(0x02), "SPDM_ERROR_UNKNOWN");
}

TEST(SpdmOpaque, VersionListHasBothGeneralFormats) {
  EXPECT_EQ(hex(encode_secured_versions({0x10, 0x11}, SpdmOpaqueFormat::k0)),
            hex(unhex("46 54 4d 44 01 01 00 00 00 00 07 00 01 01 02 00 10 00 11 00")));
  const Bytes format1 = encode_secured_versions({0x10, 0x11}, SpdmOpaqueFormat::k1);
  EXPECT_EQ(hex(format1), hex(unhex("01 00 00 00 00 00 07 00 01 01 02 00 10 00 11 00")));
  const auto back = decode_secured_versions(format1, SpdmOpaqueFormat::k1);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, (std::vector<std::uint8_t>{0x10, 0x11}));
  EXPECT_FALSE(decode_secured_versions(format1, SpdmOpaqueFormat::k0));
}

TEST(SpdmOpaque, ChoiceRoundTripsAndMayBeAbsent) {
  const Bytes choice = encode_secured_version_choice(0x11, SpdmOpaqueFormat::k1);
  EXPECT_EQ(hex(choice), hex(unhex("01 00 00 00 00 00 04 00 01 00 00 11")));
  const auto back = decode_secured_version_choice(choice, SpdmOpaqueFormat::k1);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, 0x11);
  const auto absent = decode_secured_version_choice({}, SpdmOpaqueFormat::k1);
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->has_value());
}

TEST(SpdmOpaque, RefusesEveryPrefixAndAnElementTooMany) {
  const Bytes good = encode_secured_versions({0x11}, SpdmOpaqueFormat::k0);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(SpdmOpaqueData::decode(ByteView(good).first(size), SpdmOpaqueFormat::k0)) << size;
  Bytes two = good;
  two[5] = std::byte{2};
  EXPECT_FALSE(SpdmOpaqueData::decode(two, SpdmOpaqueFormat::k0));
  EXPECT_EQ(SpdmOpaqueData::decode(Bytes(1025), SpdmOpaqueFormat::k1).error().code, Errno::kTooBig);
}

TEST(SpdmVendorDefined, HasALargeFormSinceOneFour) {
  const Bytes vendor = unhex("01 00");
  const Bytes payload = unhex("00 00 00 01");
  SpdmVendorDefinedRequest m{.version = kSpdmVersion12,
                             .large = false,
                             .standard_id = 3,
                             .vendor_id = vendor,
                             .payload = payload};
  expect_golden(m, "12 fe 00 00 03 00 02 01 00 04 00 00 00 00 01");
  m.version = kSpdmVersion14;
  m.large = true;
  expect_golden(m, "14 fe 80 00 03 00 02 01 00 00 00 04 00 00 00 00 00 00 01");
  expect_golden(SpdmVendorDefinedResponse{.standard_id = 0}, "12 7e 00 00 00 00 00 00 00");
}

// DMTF's requester leaves the large form's two reserved bytes unwritten.
TEST(SpdmVendorDefined, IgnoresReservedBytesOfTheLargeForm) {
  const Bytes noisy = unhex("14 fe 80 00 03 00 02 01 00 93 d8 02 00 00 00 01 83");
  const auto back = VendorDefined::decode(noisy);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->large);
  EXPECT_EQ(back->protocol, Protocol::kTdisp);
  EXPECT_EQ(hex(back->message), "83");
}

}  // namespace
}  // namespace teeio::wire
