// The newer API on authenticated sessions: what the module gives, key updates, refreshes.
#include <set>

#include "crypto/identity.h"
#include "firmware/tdx/state.h"
#include "spdm/session_channel.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {
namespace {

spdm::ChannelSetup sessions() {
  spdm::ChannelSetup setup{.sessions = true};
  setup.settings.algorithms = spdm::Algorithms::all();
  setup.settings.data_transfer_size = setup.settings.max_message_size = 0xf00;
  return setup;
}

class G3 : public Machine {
 protected:
  explicit G3(spdm::ChannelSetup channels = sessions()) : Machine(std::move(channels)) {
    module.state().api = Api::kG3;
    module.set_injection({.interruptions = false, .failures = false});
    relay = [this](ByteView object) {
      ++carried;
      return peer.answer(object);
    };
  }

  HpaArray pages(std::size_t count) {
    if (count == 1) return {page(), 1};
    Writer addresses;
    for (std::size_t i = 0; i < count; ++i) {
      given.push_back(page());
      addresses.le(raw(given.back()));
    }
    const Hpa list = page();
    EXPECT_TRUE(memory.write(list, addresses.take()).has_value());
    return {list, count};
  }
  void configure(std::uint32_t capabilities) {
    Writer writer;
    writer.le(capabilities).le(std::uint8_t{0}).le(std::uint8_t{0xff}).le(std::uint8_t{0});
    ASSERT_TRUE(memory.write(configuration, writer.take()).has_value());
  }
  /// Calls `leaf` until it wants no message carried any more; its last result.
  LeafResult converse(const std::function<LeafResult()>& leaf) {
    LeafResult result = leaf();
    for (int step = 0; step < 100 && result.status == Code::kSpdmRequest; ++step) {
      carry_between(messages.request, messages.answer);
      result = leaf();
    }
    return result;
  }
  void create() {
    ASSERT_OK(module.g3().tdh_iommu_setup(kRegisters, pages(kIommuPages)));
    given.clear();
    const LeafResult made = module.g3().tdh_spdm_create(kFunction, pages(kSpdmPages));
    ASSERT_OK(made);
    spdm = made.rcx;
  }
  LeafResult connect_once() {
    return module.g3().tdh_spdm_connect(spdm, configuration, messages, info);
  }
  void connect_g3() {
    create();
    info = pages(kInfoPages);
    connected = converse([&] { return connect_once(); });
    ASSERT_OK(connected);
  }
  void create_stream() {
    const auto low = static_cast<std::uint32_t>(raw(kBar) >> 20U);
    const LeafResult made = module.g3().tdh_ide_stream_create(
        {.root_port = static_cast<std::uint8_t>(port.bdf().rid()), .selective = true}, spdm,
        pages(kStreamPages),
        {.control = 0,
         .rid_1 = 0x01ffU << 8U,
         .rid_2 = 0x0100U << 8U | 1U,
         .address_1 = 1U | low << 8U | low << 20U,
         .address_2 = 0,
         .address_3 = 0});
    ASSERT_OK(made);
    stream = static_cast<std::uint8_t>(made.rcx);
    block = made.rdx;
  }
  LeafResult km_all(KmOperation operation) {
    return converse(
        [&] { return module.g3().tdh_ide_stream_km(spdm, stream, operation, messages); });
  }
  LeafResult manage(SpdmOperation operation, std::optional<Hpa> nonce = std::nullopt) {
    return converse(
        [&] { return module.g3().tdh_spdm_mng(spdm, operation, nonce, messages, info); });
  }

  crypto::Pki pki = crypto::make_device_identity(1, crypto::KeyType::kP256);
  spdm::FixedCredentials credentials{pki.device};
  spdm::FixedMeasurements measurements{{{.index = 1, .type = 0, .value = Bytes(8)}}};
  TestDevice peer{spdm::make_session_responder([&] {
    spdm::ResponderConfig config;
    config.settings.algorithms = spdm::Algorithms::p256();
    config.credentials = &credentials;
    config.measurements = &measurements;
    return config;
  }())};
  int carried = 0;
  std::vector<Hpa> given;
  Hpa configuration = [this] {
    const Hpa where = page();
    return where;
  }();
  G3Leaves::Messages messages{.answer = page(), .request = page()};
  HpaArray info{0};
  std::uint64_t spdm = 0;
  LeafResult connected;
  std::uint8_t stream = 0;
  std::uint64_t block = 0;

  void SetUp() override { configure(SpdmConfiguration::kKeyUpdate); }
};

TEST_F(G3, AMessageIsNoSuccessAndLeavesInAPageOfItsOwn) {
  create();
  info = pages(kInfoPages);
  const LeafResult first = connect_once();
  EXPECT_EQ(first.status.rax(), 0xC0000F57'00000000U);
  EXPECT_NE(first.rcx, 0U);
  std::array<std::byte, 8> answer{};
  ASSERT_TRUE(memory.read(messages.answer, answer).has_value());
  EXPECT_EQ(answer, (std::array<std::byte, 8>{}));
}

TEST_F(G3, ConnectFillsTheHostsPagesAndDeleteListsTheSessions) {
  connect_g3();
  EXPECT_GT(connected.rcx, kPageSize / 4);
  const std::vector<Hpa> session_pages(given.begin(), given.begin() + kSpdmPages);
  const Hpa first_info = given.at(kSpdmPages);
  Bytes evidence(8);
  ASSERT_TRUE(memory.read(first_info, evidence).has_value());
  EXPECT_NE(evidence, Bytes(8));
  ASSERT_OK(converse([&] { return module.g3().tdh_spdm_disconnect(spdm, messages); }));
  const Hpa list = page();
  const std::uint64_t owned = module.pages_owned();
  const LeafResult gone = module.g3().tdh_spdm_delete(spdm, list);
  ASSERT_OK(gone);
  EXPECT_EQ(gone.rcx, HpaArray(list, kSpdmPages).raw());
  EXPECT_EQ(module.pages_owned(), owned - kSpdmPages);
  Bytes addresses(8 * kSpdmPages);
  ASSERT_TRUE(memory.read(list, addresses).has_value());
  Reader reader(addresses);
  for (const Hpa page : session_pages) EXPECT_EQ(reader.le<std::uint64_t>(), raw(page));
}

TEST_F(G3, AnInterruptedConnectGoesOn) {
  create();
  info = pages(kInfoPages);
  module.set_injection({.interruptions = true, .failures = false});
  inject_once("TDH.SPDM.CONNECT interrupted");
  EXPECT_CODE(connect_once(), Code::kInterruptedResumable);
  EXPECT_OK(converse([&] { return connect_once(); }));
}

TEST_F(G3, SetupProgramsEnablesAndRefreshTakesTheOtherKeys) {
  connect_g3();
  create_stream();
  EXPECT_NE(stream, 0);
  carried = 0;
  ASSERT_OK(km_all(KmOperation::kSetup));
  EXPECT_EQ(carried, 12);
  EXPECT_EQ(port.stream_state(block), hw::IdeStreamState::kEnabled);
  EXPECT_CODE(km_all(KmOperation::kSetup), Code::kIdeStreamInvalidState);
  std::set<unsigned> sets;
  for (int refresh = 0; refresh < 3; ++refresh) {
    ASSERT_OK(km_all(KmOperation::kRefresh));
    EXPECT_EQ(port.stream_state(block), hw::IdeStreamState::kEnabled);
    sets.insert(module.state().iommus[0].streams.at(stream).key_set);
  }
  EXPECT_EQ(sets.size(), 2U);
  carried = 0;
  ASSERT_OK(km_all(KmOperation::kStop));
  EXPECT_EQ(carried, 6);
}

TEST_F(G3, ABadAnswerLeavesBlockAlone) {
  connect_g3();
  create_stream();
  peer.kp_ack_status = 1;
  EXPECT_CODE(km_all(KmOperation::kSetup), Code::kIdeKmInvalidResponse);
  EXPECT_CODE(km_all(KmOperation::kStop), Code::kIdeKmOutReq);
  ASSERT_OK(module.g3().tdh_ide_stream_block(spdm, stream));
  ASSERT_OK(module.g3().tdh_ide_stream_delete(spdm, stream));
}

// Else the other session's device would get the keys of this one's stream.
TEST_F(G3, AnotherSessionsStreamIsNobodys) {
  connect_g3();
  create_stream();
  const LeafResult other = module.g3().tdh_spdm_create(kFunction, pages(kSpdmPages));
  ASSERT_OK(other);
  const std::uint64_t mine = std::exchange(spdm, other.rcx);
  EXPECT_CODE(km_all(KmOperation::kSetup), Code::kIdeStreamNotConfigured);
  EXPECT_CODE(module.g3().tdh_ide_stream_block(spdm, stream), Code::kIdeStreamNotConfigured);
  EXPECT_CODE(module.g3().tdh_ide_stream_delete(spdm, stream), Code::kIdeStreamNotConfigured);
  spdm = mine;
  EXPECT_OK(km_all(KmOperation::kSetup));
}

TEST_F(G3, WornKeysWantAnUpdateFirst) {
  connect_g3();
  create_stream();
  module.set_injection({.interruptions = true, .failures = false});
  inject_once("the SPDM session's keys are worn");
  const LeafResult worn = km_all(KmOperation::kSetup);
  EXPECT_EQ(worn.status.rax(), 0xC0000F45'00000000U);
  EXPECT_CODE(km_all(KmOperation::kSetup), Code::kSpdmSessionKeyRequireRefresh);
  ASSERT_OK(manage(SpdmOperation::kKeyUpdate));
  ASSERT_OK(km_all(KmOperation::kSetup));
  ASSERT_OK(manage(SpdmOperation::kKeyUpdate));
  ASSERT_OK(km_all(KmOperation::kRefresh));
}

TEST_F(G3, HeartbeatIsAMatterOfTheConfiguration) {
  configure(SpdmConfiguration::kHeartbeat);
  connect_g3();
  carried = 0;
  EXPECT_OK(manage(SpdmOperation::kHeartbeat));
  EXPECT_EQ(carried, 1);
  EXPECT_CODE(manage(SpdmOperation::kKeyUpdate), Code::kOperandInvalid);
}

TEST_F(G3, RecollectionHasTheNonceOfItsParameter) {
  connect_g3();
  const Hpa nonce = page();
  const std::array<std::byte, 32> bytes{std::byte{9}, std::byte{8}, std::byte{7}};
  ASSERT_TRUE(memory.write(nonce, bytes).has_value());
  ASSERT_OK(manage(SpdmOperation::kRecollect, nonce));
  Bytes head(48);
  ASSERT_TRUE(memory.read(given.at(kSpdmPages), head).has_value());
  EXPECT_TRUE(std::ranges::equal(ByteView(head).subspan(16), bytes));
}

TEST_F(G3, AnotherNonceIsAnotherRecollection) {
  connect_g3();
  const auto with = [&](std::uint8_t first) {
    const Hpa nonce = page();
    EXPECT_TRUE(memory.write(nonce, std::array<std::byte, 32>{std::byte{first}}).has_value());
    return module.g3().tdh_spdm_mng(spdm, SpdmOperation::kRecollect, nonce, messages, info);
  };
  ASSERT_EQ(with(1).status, Code::kSpdmRequest);
  carry_between(messages.request, messages.answer);
  EXPECT_CODE(with(2), Code::kSpdmInvalidState);
  EXPECT_OK(converse([&] { return with(1); }));
}

TEST_F(G3, LeavesOfTheOlderApiAreNoLeaves) {
  create();
  const LeafResult older = module.tdh_spdm_connect(kIommu, kSession, message);
  EXPECT_EQ(older.status, Status(Code::kOperandInvalid, Operand::kRax));
  module.state().api = Api::kG2;
  EXPECT_CODE(connect_once(), Code::kOperandInvalid);
}

TEST_F(G3, AnIommuWithoutTdxConnectIsOperandInvalid) {
  const LeafResult none = module.g3().tdh_iommu_setup(Hpa{0x1000}, pages(kIommuPages));
  EXPECT_EQ(none.status, Status(Code::kOperandInvalid, Operand::kRcx));
}

TEST_F(G3, ADisconnectEndsWhatWasUnderWay) {
  connect_g3();
  const Hpa nonce = page();
  EXPECT_CODE(module.g3().tdh_spdm_mng(spdm, SpdmOperation::kRecollect, nonce, messages, info),
              Code::kSpdmRequest);
  ASSERT_OK(converse([&] { return module.g3().tdh_spdm_disconnect(spdm, messages); }));
  ASSERT_OK(converse([&] { return connect_once(); }));
  ASSERT_OK(manage(SpdmOperation::kKeyUpdate));
}

class G3InTheClear : public G3 {
 protected:
  G3InTheClear() : G3(spdm::ChannelSetup{}) {
    relay = [this](ByteView object) { return device.answer(object); };
  }
};

TEST_F(G3InTheClear, ASessionWithoutKeysHasNoneThatWear) {
  connect_g3();
  create_stream();
  module.set_injection({.interruptions = true, .failures = false});
  inject_once("the SPDM session's keys are worn");
  ASSERT_OK(km_all(KmOperation::kSetup));
}

}  // namespace
}  // namespace teeio::tdx
