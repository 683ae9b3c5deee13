#include "wire/spdm_slots.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "golden.h"

// Golden bytes follow libspdm's spdm_slot_management_* structures, field by field.
namespace teeio::wire {
namespace {

using Subcode = SpdmSlotSubcode;

TEST(SpdmSlotManagement, WithoutAStructureItIsEightBytes) {
  const SpdmSlotManagement m{.subcode = std::to_underlying(Subcode::kGetBankInfo)};
  EXPECT_EQ(m.encode(), unhex("14 88 01 00 00 00 00 00"));
  EXPECT_TRUE(SpdmSlotManagement::decode(m.encode()));
  EXPECT_FALSE(SpdmSlotManagement::decode(unhex("14 88 01 00 08 00 00 00")));
  EXPECT_EQ(SpdmSlotManagement::decode(unhex("13 88 01 00 00 00 00 00")).error().code,
            Errno::kOpNotSupp);
}

TEST(SpdmSlotManagement, AddressesASlotOfABank) {
  const Bytes golden = unhex("14 88 03 00 08 00 00 00 08 00 00 00 02 05 00 00");
  const SpdmSlotManagement m{
      .subcode = std::to_underlying(Subcode::kGetCertificateChain), .bank = 2, .slot = 5};
  EXPECT_EQ(m.encode(), golden);
  const auto back = SpdmSlotManagement::decode(golden);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bank, 2);
  EXPECT_EQ(back->slot, 5);
  // Something may stand before the structure, and nothing else may contradict it.
  const auto further =
      SpdmSlotManagement::decode(unhex("14 88 03 00 0a 00 00 00 ff ff 08 00 00 00 02 f5 00 00"));
  ASSERT_TRUE(further);
  EXPECT_EQ(further->slot, 5);
  EXPECT_FALSE(
      SpdmSlotManagement::decode(unhex("14 88 03 00 04 00 00 00 08 00 00 00 02 05 00 00")));
  EXPECT_FALSE(
      SpdmSlotManagement::decode(unhex("14 88 03 00 08 00 00 00 09 00 00 00 02 05 00 00")));
  EXPECT_FALSE(SpdmSlotManagement::decode(ByteView(golden).first(golden.size() - 1)));
}

TEST(SpdmSlotManagement, CarriesWhatItsSubcodeHas) {
  const Bytes info = unhex("30 00");
  const Bytes opaque = unhex("aa bb cc");
  const SpdmSlotManagement csr{.subcode = std::to_underlying(Subcode::kGetCsr),
                               .slot = 1,
                               .key_pair = 7,
                               .attributes = 2,
                               .requester_info = info,
                               .opaque = opaque};
  EXPECT_EQ(csr.encode(), unhex("14 88 04 00 08 00 00 00 08 00 00 00 00 01 00 00 "
                                "07 02 00 00 02 00 03 00 30 00 aa bb cc"));
  const Bytes asked = csr.encode();
  const auto back = SpdmSlotManagement::decode(asked);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->key_pair, 7);
  EXPECT_TRUE(std::ranges::equal(back->opaque, opaque));
  const SpdmSlotManagement bank{.subcode = std::to_underlying(Subcode::kManageBank),
                                .bank = 1,
                                .operation = 1,
                                .asym = 0x10,
                                .pqc = opaque};
  EXPECT_EQ(bank.encode(), unhex("14 88 20 00 08 00 00 00 08 00 00 00 01 00 00 00 "
                                 "01 00 00 00 10 00 00 00 03 aa bb cc"));
  const SpdmSlotManagement set{.subcode = std::to_underlying(Subcode::kSetCertificate),
                               .key_pair = 3,
                               .attributes = 1,
                               .certificate_chain = info};
  EXPECT_EQ(set.encode(), unhex("14 88 22 00 08 00 00 00 08 00 00 00 00 00 00 00 "
                                "02 00 00 00 01 03 00 00 30 00"));
  const Bytes sent = set.encode();
  EXPECT_TRUE(std::ranges::equal(SpdmSlotManagement::decode(sent)->certificate_chain, info));
}

TEST(SpdmSlotManagementResp, TellsOfSubcodesAndBanks) {
  const Bytes subcodes = encode_spdm_supported_subcodes(0x7'0000'001f);
  EXPECT_EQ(subcodes, unhex("24 00 00 00 1f 00 00 00 07 00 00 00 00*24"));
  EXPECT_EQ(*decode_spdm_supported_subcodes(subcodes), 0x7'0000'001fU);
  const std::array banks{SpdmBankElement{0, 0xff, 0xff}, SpdmBankElement{1, 3, 0}};
  const Bytes structure = encode_spdm_bank_info(banks);
  EXPECT_EQ(structure, unhex("10 00 00 00 02 00 00 00 04 00 ff ff 04 01 03 00"));
  const SpdmSlotManagementResp answer{.subcode = 1, .structure = structure};
  Bytes padded = answer.encode();
  padded.resize(padded.size() + 3);
  const auto back = SpdmSlotManagementResp::decode(padded);
  ASSERT_TRUE(back);
  EXPECT_TRUE(std::ranges::equal(back->structure, structure));
  const auto read = decode_spdm_bank_info(back->structure);
  ASSERT_TRUE(read && read->size() == 2);
  EXPECT_EQ((*read)[1].slots, 3);
  EXPECT_FALSE(decode_spdm_bank_info(unhex("10 00 00 00 03 00 00 00 04 00 ff ff 04 01 03 00")));
  EXPECT_FALSE(decode_spdm_bank_info(unhex("ff 00 00 00 00 00 00 00")));
}

TEST(SpdmSlotManagementResp, TellsOfABanksSlots) {
  const Bytes pqc = unhex("02 00 00 00");
  const Bytes digest = unhex("d1*4");
  SpdmBankDetails details{.bank = 1,
                          .attributes = SpdmBankDetails::kSelected,
                          .asym_capabilities = 0x18,
                          .current_asym = 0x10,
                          .available_asym = 0x08,
                          .pqc_capabilities = pqc,
                          .current_pqc = {},
                          .available_pqc = pqc,
                          .slots = {}};
  details.slots.push_back({.slot = 2,
                           .attributes = SpdmSlotElement::kProvisioned,
                           .key_pair = 4,
                           .certificate_info = 1,
                           .key_usage = 0xf,
                           .size = 0x10000,
                           .digest = digest});
  const Bytes structure = details.encode();
  EXPECT_EQ(structure, unhex("37 00 01 00 01 00 01 00 18 00 00 00 10 00 00 00 08 00 00 00 "
                             "04 02 00 00 00 00 04 02 00 00 00 00 00 00 00 "
                             "14 00 02 00 01 04 01 00 0f 00 00 00 00 00 01 00 d1 d1 d1 d1"));
  const auto back = SpdmBankDetails::decode(structure);
  ASSERT_TRUE(back && back->slots.size() == 1);
  EXPECT_EQ(back->available_asym, 8U);
  EXPECT_EQ(back->slots[0].size, 0x10000U);
  EXPECT_TRUE(std::ranges::equal(back->slots[0].digest, digest));
  for (std::size_t size = 0; size < structure.size(); ++size)
    EXPECT_FALSE(SpdmBankDetails::decode(ByteView(structure).first(size))) << size;
}

TEST(SpdmSlotManagementResp, OfAStructureShorterThanItsLengthIsRefused) {
  const Bytes structure = encode_spdm_bank_info({});
  const SpdmSlotManagementResp answer{.subcode = std::to_underlying(Subcode::kGetBankInfo),
                                      .structure = structure};
  Bytes sent = answer.encode();
  EXPECT_TRUE(SpdmSlotManagementResp::decode(sent));
  constexpr std::size_t kRespLength = 8;
  for (const std::byte length : {std::byte{0}, std::byte{1}}) {
    sent.at(kRespLength) = length;
    EXPECT_FALSE(SpdmSlotManagementResp::decode(sent)) << std::to_integer<int>(length);
  }
}

TEST(SpdmSlotManagementResp, CarriesDataWithItsLength) {
  const Bytes data = unhex("01 02 03");
  const Bytes structure = encode_spdm_slot_data(data);
  const SpdmSlotManagementResp answer{.subcode = std::to_underlying(Subcode::kGetCertificateChain),
                                      .structure = structure};
  const Bytes sent = answer.encode();
  EXPECT_EQ(sent, unhex("14 08 03 00 08 00 00 00 03 00 00 00 00 00 00 00 01 02 03"));
  const auto back = SpdmSlotManagementResp::decode(sent);
  ASSERT_TRUE(back);
  EXPECT_TRUE(std::ranges::equal(*decode_spdm_slot_data(back->structure), data));
  EXPECT_FALSE(SpdmSlotManagementResp::decode(ByteView(sent).first(sent.size() - 1)));
  const SpdmSlotManagementResp none{.subcode = std::to_underlying(Subcode::kManageSlot)};
  EXPECT_EQ(none.encode(), unhex("14 08 21 00 00 00 00 00"));
}

}  // namespace
}  // namespace teeio::wire
