// SLOT_MANAGEMENT of a served device.
#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/csr.h"
#include "serve/slots.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_slots.h"

namespace teeio::serve {
namespace {

using Subcode = wire::SpdmSlotSubcode;
using wire::SpdmErrorCode;

constexpr std::uint32_t kProvisions = wire::kSpdmCapCsr | wire::kSpdmCapSetCert;

/// A requester before a device with banks of P-256, P-384 and P-521.
class Banked {
 public:
  explicit Banked(std::uint32_t capabilities = kProvisions,
                  std::uint16_t extended = wire::kSpdmExtendedCapSlotManagement,
                  bool multi_key = false)
      : slots_(9, {.slots = 2}), ends_(theirs(multi_key), ours(capabilities, extended)) {
    ends_.requester.connect();
    ends_.requester.get_certificates(0);
    connected_ = ends_.run().has_value();
  }
  [[nodiscard]] bool connected() const { return connected_; }
  Bytes ask(Bytes request, std::uint32_t session = spdm::kNoSession) {
    ends_.requester.send_raw(session, std::move(request));
    if (!ends_.run()) return {};
    const ByteView answer = ends_.requester.raw_answer();
    return {answer.begin(), answer.end()};
  }
  Bytes ask(const wire::SpdmSlotManagement& request, std::uint32_t session = spdm::kNoSession) {
    return ask(request.encode(), session);
  }
  /// The structure of the answer.
  Bytes structure(const wire::SpdmSlotManagement& request,
                  std::uint32_t session = spdm::kNoSession) {
    const Bytes answer = ask(request, session);
    const auto read = wire::SpdmSlotManagementResp::decode(answer);
    return read ? Bytes(read->structure.begin(), read->structure.end()) : Bytes{};
  }
  std::optional<SpdmErrorCode> error_of(const wire::SpdmSlotManagement& request,
                                        std::uint32_t session = spdm::kNoSession) {
    const Bytes answer = ask(request, session);
    const auto error = wire::SpdmError::decode(answer);
    return error ? std::optional(static_cast<SpdmErrorCode>(error->code)) : std::nullopt;
  }
  std::uint32_t open_session() {
    ends_.requester.open_session({});
    return ends_.run() ? ends_.requester.last_session().value_or(spdm::kNoSession)
                       : spdm::kNoSession;
  }
  spdm::Ends& ends() { return ends_; }

 private:
  static spdm::RequesterConfig theirs(bool multi_key) {
    spdm::RequesterConfig config;
    if (multi_key) config.settings.algorithms.other_params |= wire::kSpdmMultiKeyConn;
    return config;
  }
  spdm::ResponderConfig ours(std::uint32_t capabilities, std::uint16_t extended) {
    spdm::ResponderConfig config;
    config.credentials = &slots_;
    config.provisioning = &slots_;
    config.settings.flags = spdm::default_responder_flags() | capabilities;
    config.settings.extended_flags = extended;
    config.settings.algorithms.base_asym = 0x190;  // ECDSA P-256, P-384, P-521
    return config;
  }

  Slots slots_;
  spdm::Ends ends_;
  bool connected_ = false;
};

wire::SpdmSlotManagement of(Subcode subcode, unsigned bank = 0, unsigned slot = 0) {
  return {.subcode = std::to_underlying(subcode),
          .bank = static_cast<std::uint8_t>(bank),
          .slot = static_cast<std::uint8_t>(slot)};
}

TEST(SlotManagement, BanksAreTheKindsOfKeysAndOneIsSelected) {
  Banked device;
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(
      *wire::decode_spdm_supported_subcodes(device.structure(of(Subcode::kSupportedSubcodes))),
      0x6'0000'001fU);
  const auto banks = wire::decode_spdm_bank_info(device.structure(of(Subcode::kGetBankInfo)));
  ASSERT_TRUE(banks);
  ASSERT_EQ(banks->size(), 3U);
  EXPECT_EQ((*banks)[2].modifiable, 0xff);
  const Bytes told = device.structure(of(Subcode::kGetBankDetails, 1));
  const auto selected = wire::SpdmBankDetails::decode(told);
  ASSERT_TRUE(selected && selected->slots.size() == 8);
  EXPECT_EQ(selected->attributes, wire::SpdmBankDetails::kSelected);
  EXPECT_EQ(selected->current_asym, wire::kSpdmKeyPairEcc384);
  EXPECT_EQ(selected->slots[1].attributes, wire::SpdmSlotElement::kProvisioned);
  EXPECT_EQ(selected->slots[2].attributes, 0);
  const spdm::PeerChain* const chain = device.ends().requester.peer_chain(0);
  ASSERT_NE(chain, nullptr);
  const Bytes shown = device.structure(of(Subcode::kGetCertificateChain, 1));
  EXPECT_TRUE(std::ranges::equal(*wire::decode_spdm_slot_data(shown), chain->chain));
  // The chains of other algorithms can be read without another connection.
  const Bytes other = device.structure(of(Subcode::kGetCertificateChain, 0, 1));
  const auto p256 = crypto::SpdmCertificateChain::parse(*wire::decode_spdm_slot_data(other),
                                                        crypto::HashAlgorithm::kSha384);
  ASSERT_TRUE(p256);
  EXPECT_EQ(p256->chain.leaf().public_key().type(), crypto::KeyType::kP256);
}

TEST(SlotManagement, SlotsOfAnotherBankAreSetInASession) {
  Banked device;
  ASSERT_TRUE(device.connected());
  const Bytes chain_structure = device.structure(of(Subcode::kGetCertificateChain, 0, 1));
  const Bytes chain = Bytes(chain_structure.begin() + 8, chain_structure.end());
  EXPECT_EQ(device.error_of({.subcode = 0x21, .bank = 0, .slot = 1, .operation = 1}),
            SpdmErrorCode::kUnexpectedRequest);
  const std::uint32_t session = device.open_session();
  ASSERT_NE(session, spdm::kNoSession);
  const auto is_filled = [&] {
    const Bytes told = device.structure(of(Subcode::kGetBankDetails, 0));
    return wire::SpdmBankDetails::decode(told)->slots[1].attributes ==
           wire::SpdmSlotElement::kProvisioned;
  };
  EXPECT_TRUE(is_filled());
  EXPECT_EQ(device.error_of({.subcode = 0x21, .slot = 1, .operation = 2}, session),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of({.subcode = 0x21, .slot = 1, .operation = 1}, session), std::nullopt);
  EXPECT_FALSE(is_filled());
  EXPECT_EQ(device.error_of(of(Subcode::kGetCertificateChain, 0, 1)),
            SpdmErrorCode::kInvalidRequest);
  // The chain of one algorithm is none for another one's bank.
  EXPECT_EQ(
      device.error_of({.subcode = 0x22, .bank = 2, .slot = 1, .certificate_chain = chain}, session),
      SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of({.subcode = 0x22, .slot = 1, .key_pair = 1, .certificate_chain = chain},
                            session),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of({.subcode = 0x22, .slot = 1, .certificate_chain = chain}, session),
            std::nullopt);
  EXPECT_TRUE(is_filled());
}

TEST(SlotManagement, ASlotsModelIsTheOneThatItsChainWasSetWith) {
  Banked device(kProvisions | wire::kSpdmCapMultiKeyNegotiated | wire::kSpdmCapGetKeyPairInfo,
                wire::kSpdmExtendedCapSlotManagement, /*multi_key=*/true);
  ASSERT_TRUE(device.connected());
  const Bytes shown = device.structure(of(Subcode::kGetCertificateChain, 0, 0));
  const Bytes chain = Bytes(shown.begin() + 8, shown.end());
  const auto info = [&] {
    const Bytes told = device.structure(of(Subcode::kGetBankDetails, 0));
    return wire::SpdmBankDetails::decode(told)->slots[0].certificate_info;
  };
  EXPECT_EQ(info(), 1);
  EXPECT_EQ(device.error_of(
                {.subcode = 0x22, .key_pair = 1, .attributes = 2, .certificate_chain = chain}),
            std::nullopt);
  EXPECT_EQ(info(), 2);
}

TEST(SlotManagement, ARequestForACertificateIsOfTheBanksKey) {
  Banked device;
  ASSERT_TRUE(device.connected());
  const Bytes told = device.structure(of(Subcode::kGetCertificateChain, 2, 0));
  const auto chain = crypto::SpdmCertificateChain::parse(*wire::decode_spdm_slot_data(told),
                                                         crypto::HashAlgorithm::kSha384);
  ASSERT_TRUE(chain);
  const Bytes made = device.structure(of(Subcode::kGetCsr, 2, 0));
  const auto csr = wire::decode_spdm_slot_data(made);
  ASSERT_TRUE(csr);
  EXPECT_TRUE(crypto::verify_certification_request(*csr, chain->chain.leaf().public_key()));
}

TEST(SlotManagement, WhatIsNotThereIsRefused) {
  Banked device;
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(device.error_of({.subcode = 0x05}), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of({.subcode = 0x20, .operation = 1, .asym = 8}),
            SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(device.error_of(of(Subcode::kGetBankDetails, 3)), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of(of(Subcode::kGetCertificateChain, 0, 9)),
            SpdmErrorCode::kInvalidRequest);
}

TEST(SlotManagement, NeedsItsCapabilityAndThoseOfWhatItSets) {
  Banked reader(0);
  ASSERT_TRUE(reader.connected());
  EXPECT_EQ(
      *wire::decode_spdm_supported_subcodes(reader.structure(of(Subcode::kSupportedSubcodes))),
      0xfU);
  EXPECT_EQ(
      (*wire::decode_spdm_bank_info(reader.structure(of(Subcode::kGetBankInfo))))[0].modifiable, 0);
  EXPECT_EQ(reader.error_of({.subcode = 0x21, .operation = 1}), SpdmErrorCode::kUnsupportedRequest);
  Banked without(kProvisions, 0);
  ASSERT_TRUE(without.connected());
  EXPECT_EQ(without.error_of(of(Subcode::kSupportedSubcodes)), SpdmErrorCode::kUnsupportedRequest);
}

}  // namespace
}  // namespace teeio::serve
