#include "wire/spdm_certificates.h"

#include <gtest/gtest.h>

#include "golden.h"
#include "wire/spdm_chunk.h"
#include "wire/spdm_encapsulated.h"
#include "wire/spdm_key_pairs.h"

namespace teeio::wire {
namespace {

TEST(SpdmDigests, HasOneForEachSlotOfItsMask) {
  const Bytes two = unhex("aa*4 bb*4");
  const SpdmSizes sizes{.hash = 4};
  const auto back = expect_golden(
      SpdmDigests{.version = kSpdmVersion12, .supported = 0xff, .provisioned = 5, .digests = two},
      "12 01 00 05 aa*4 bb*4", sizes);
  EXPECT_EQ(back.count(), 2U);
}

TEST(SpdmDigests, DescribesKeysOfAMultiKeyConnection) {
  const Bytes digest = unhex("aa*4");
  const Bytes pair = unhex("07");
  const Bytes model = unhex("02");
  const Bytes usage = unhex("07 80");
  const SpdmSizes sizes{.hash = 4, .multi_key = true};
  expect_golden(SpdmDigests{.version = kSpdmVersion13,
                            .supported = 0x11,
                            .provisioned = 0x10,
                            .digests = digest,
                            .key_pairs = pair,
                            .cert_models = model,
                            .key_usages = usage},
                "13 01 11 10 aa*4 07 02 07 80", sizes);
}

TEST(SpdmGetCertificate, HasALargeFormSinceOneFour) {
  SpdmGetCertificate m{
      .version = kSpdmVersion12, .slot = 1, .large = true, .offset = 0x1234, .length = 0x400};
  expect_golden(m, "12 82 01 00 34 12 00 04");
  m.version = kSpdmVersion14;
  m.slot_size_requested = true;
  expect_golden(m, "14 82 81 01 00*4 34 12 00 00 00 04 00 00");
}

TEST(SpdmCertificate, CarriesAPortion) {
  const Bytes portion = unhex("30 82 01");
  SpdmCertificate m{.version = kSpdmVersion12,
                    .slot = 2,
                    .large = true,
                    .cert_model = 1,
                    .portion = portion,
                    .remainder = 0x637};
  expect_golden(m, "12 02 02 00 03 00 37 06 30 82 01");
  m.version = kSpdmVersion14;
  expect_golden(m, "14 02 82 01 00*4 03 00 00 00 37 06 00 00 30 82 01");
}

TEST(SpdmCertificateChain, BeginsWithItsLengthAndTheRootsHash) {
  const Bytes hash = unhex("aa*4");
  const Bytes der = unhex("30 00");
  const Bytes chain = SpdmCertificateChain{.root_hash = hash, .certificates = der}.encode();
  EXPECT_EQ(hex(chain), hex(unhex("0a 00 00 00 aa*4 30 00")));
  const auto back = SpdmCertificateChain::decode(chain, 4, kSpdmVersion12);
  ASSERT_TRUE(back);
  EXPECT_EQ(hex(back->certificates), "30 00");
  EXPECT_FALSE(SpdmCertificateChain::decode(unhex("0b 00 00 00 aa*4 30 00"), 4, kSpdmVersion12));
  EXPECT_FALSE(SpdmCertificateChain::decode(unhex("04 00 00 00"), 4, kSpdmVersion12));
}

// The upper half of the length was reserved before 1.4, and is ignored there.
TEST(SpdmCertificateChain, HasAThirtyTwoBitLengthOnlySinceOneFour) {
  const Bytes odd = unhex("06 00 01 00 30 00");
  EXPECT_TRUE(SpdmCertificateChain::decode(odd, 0, kSpdmVersion13));
  EXPECT_FALSE(SpdmCertificateChain::decode(odd, 0, kSpdmVersion14));
}

TEST(SpdmGetCsr, HasAttributesSinceOneThree) {
  const Bytes info = unhex("30 01");
  const Bytes opaque = unhex("ee");
  SpdmGetCsr m{.version = kSpdmVersion12,
               .key_pair = 3,
               .cert_model = 2,
               .tracking_tag = 5,
               .overwrite = true,
               .requester_info = info,
               .opaque = opaque};
  expect_golden(m, "12 ed 00 00 02 00 01 00 30 01 ee");
  m.version = kSpdmVersion13;
  const auto back = expect_golden(m, "13 ed 03 aa 02 00 01 00 30 01 ee");
  EXPECT_EQ(back.tracking_tag, 5);
}

TEST(SpdmCsr, RoundTrips) {
  const Bytes der = unhex("30 03 02 01 00");
  expect_golden(SpdmCsr{.csr = der}, "12 6d 00 00 05 00 00 00 30 03 02 01 00");
}

TEST(SpdmSetCertificate, EndsWhereItsChainEnds) {
  const Bytes chain = unhex("06 00 00 00 30 00");
  SpdmSetCertificate m{
      .version = kSpdmVersion12, .slot = 1, .cert_model = 2, .key_pair = 3, .chain = chain};
  expect_golden(m, "12 ee 01 00 06 00 00 00 30 00");
  m.version = kSpdmVersion13;
  expect_golden(m, "13 ee 21 03 06 00 00 00 30 00");
  expect_golden(SpdmSetCertificate{.version = kSpdmVersion13, .slot = 1, .erase = true},
                "13 ee 81 00");
  expect_golden(SpdmSetCertificateRsp{.version = kSpdmVersion12, .slot = 1}, "12 6e 01 00");
}

TEST(SpdmSetCertificate, RefusesAChainThatIsShorterThanItsLengthField) {
  EXPECT_FALSE(SpdmSetCertificate::decode(unhex("12 ee 01 00 03 00 00 00")));
}

TEST(SpdmKeyPairInfo, EndsWithPostQuantumAlgorithmsSinceOneFour) {
  const Bytes info = unhex("30 05");
  const Bytes pqc = unhex("07 00");
  SpdmKeyPairInfo m{.version = kSpdmVersion13,
                    .total = 16,
                    .key_pair = 2,
                    .capabilities = 0x3f,
                    .usage_capabilities = 0x0f,
                    .current_usage = 1,
                    .asym_capabilities = kSpdmKeyPairEcc384,
                    .current_asym = kSpdmKeyPairEcc384,
                    .slot_mask = 1,
                    .public_key_info = info,
                    .pqc_capabilities = pqc,
                    .current_pqc = {}};
  expect_golden(m, "13 7c 00 00 10 02 3f 00 0f 00 01 00 10 00 00 00 10 00 00 00 02 00 01 30 05");
  m.version = kSpdmVersion14;
  expect_golden(m,
                "14 7c 00 00 10 02 3f 00 0f 00 01 00 10 00 00 00 10 00 00 00 02 00 01 30 05 "
                "02 07 00 00");
  expect_golden(SpdmGetKeyPairInfo{.key_pair = 9}, "13 fc 00 00 09");
}

TEST(SpdmSetKeyPairInfo, HasNoWishesWhenItErases) {
  SpdmSetKeyPairInfo m{.version = kSpdmVersion13,
                       .operation = 2,
                       .key_pair = 4,
                       .usage = 3,
                       .asym = kSpdmKeyPairEcc256,
                       .slot_mask = 2};
  expect_golden(m, "13 fd 02 00 04 00 03 00 08 00 00 00 02");
  m.version = kSpdmVersion14;
  expect_golden(m, "14 fd 02 00 04 00 03 00 08 00 00 00 02 00");
  m.operation = 1;
  expect_golden(m, "14 fd 01 00 04");
}

TEST(SpdmChunk, NamesTheWholeSizeOnceAndHasWideNumbersSinceOneFour) {
  const Bytes data = unhex("aa bb");
  SpdmChunkSend m{.version = kSpdmVersion12,
                  .last = false,
                  .handle = 7,
                  .sequence = 0,
                  .large_size = 0x1000,
                  .chunk = data};
  expect_golden(m, "12 85 00 07 00 00 00 00 02 00 00 00 00 10 00 00 aa bb");
  m.sequence = 1;
  m.last = true;
  expect_golden(m, "12 85 01 07 01 00 00 00 02 00 00 00 aa bb");
  m.version = kSpdmVersion14;
  m.sequence = 0x10001;
  expect_golden(m, "14 85 01 07 01 00 01 00 02 00 00 00 aa bb");
  expect_golden(SpdmChunkResponse{.last = true, .handle = 1, .sequence = 2, .chunk = data},
                "12 06 01 01 02 00 00 00 02 00 00 00 aa bb");
  expect_golden(SpdmChunkGet{.handle = 1, .sequence = 2}, "12 86 00 01 02 00");
  expect_golden(SpdmChunkGet{.version = kSpdmVersion14, .handle = 1, .sequence = 2},
                "14 86 00 01 02 00 00 00");
}

TEST(SpdmChunkSendAck, CarriesTheResponseToTheWhole) {
  const Bytes response = unhex("12 7f 01 00");
  expect_golden_open(
      SpdmChunkSendAck{.early_error = true, .handle = 7, .sequence = 3, .response = response},
      "12 05 01 07 03 00 12 7f 01 00", 6);
}

TEST(SpdmEncapsulated, CarriesMessages) {
  const Bytes inner = unhex("12 81 00 00");
  expect_golden_open(SpdmEncapsulatedRequest{.request_id = 1, .request = inner},
                     "12 6a 01 00 12 81 00 00", 4);
  expect_golden_open(SpdmDeliverEncapsulatedResponse{.request_id = 1, .response = inner},
                     "12 eb 01 00 12 81 00 00", 4);
  SpdmEncapsulatedResponseAck ack{
      .request_id = 2, .payload_type = 1, .ack_request_id = 1, .payload = inner};
  expect_golden_open(ack, "12 6b 02 01 01 00 00 00 12 81 00 00", 8);
  ack.version = kSpdmVersion11;
  expect_golden_open(ack, "11 6b 02 01 12 81 00 00", 4);
}

TEST(SpdmEncapsulatedResponseAck, NamesASlotInOneByte) {
  const Bytes slot = unhex("03");
  expect_golden(
      SpdmEncapsulatedResponseAck{.payload_type = 2, .ack_request_id = 5, .payload = slot},
      "12 6b 00 02 05 00 00 00 03");
  EXPECT_FALSE(SpdmEncapsulatedResponseAck::decode(unhex("12 6b 00 03 05 00 00 00")));
}

}  // namespace
}  // namespace teeio::wire
