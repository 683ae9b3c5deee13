#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/random.h"
#include "unit/serve/secure_processor/host.h"

namespace teeio::secure_processor {
namespace {

using sev::Status;
using sev::TioCommand;

bool is_ones(const Bytes& bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0xff}; });
}

/// The event of that name that came last; nullptr: there is none.
const object::Event* last(const object::Trace& trace, std::string_view name) {
  const object::Event* found = nullptr;
  for (const object::Event& event : trace.events())
    if (event.name == name) found = &event;
  return found;
}

TEST(SecureProcessor, ItsRegistersSayWhatItIsAndHowMuchMemoryItHas) {
  Host host;
  EXPECT_EQ(host.get(Register::kIdentity), kIdentityValue);
  EXPECT_EQ(host.get(Register::kVersion), kVersionValue);
  EXPECT_EQ(host.get(Register::kMemoryBytes), host.bar(2).size);
  EXPECT_NE(host.base(), 0U);
  host.put(Register::kIdentity, 0);
  EXPECT_EQ(host.get(Register::kIdentity), kIdentityValue) << "read-only";
}

TEST(SecureProcessor, NothingAnswersWhileMemorySpaceIsOff) {
  Host host;
  host.processor->function().config_write(hw::kCommand, 2, 0);
  EXPECT_EQ(host.get(Register::kIdentity), ~0U);
  host.put(Register::kAsid, 7);
  host.memory_on();
  EXPECT_EQ(host.get(Register::kAsid), 0U);
}

TEST(SecureProcessor, OtherThanAlignedDwordsReadAsOnesAndWriteNothing) {
  Host host;
  for (const std::size_t size : {1U, 2U, 3U}) {
    Bytes out(size);
    host.bar(0).target->mmio_read(0, out);
    EXPECT_TRUE(is_ones(out));
    host.bar(0).target->mmio_write(static_cast<std::uint64_t>(Register::kAsid), Bytes(size));
  }
  host.put(Register::kAsid, 5);
  host.bar(0).target->mmio_write(static_cast<std::uint64_t>(Register::kAsid) + 1, Bytes(4));
  EXPECT_EQ(host.get(Register::kAsid), 5U);
  Bytes two(8);
  host.bar(0).target->mmio_read(0, two);
  EXPECT_EQ(Reader(two).le<std::uint64_t>(), std::uint64_t{kVersionValue} << 32U | kIdentityValue);
}

TEST(SecureProcessor, AnUnknownCommandAndABufferThatIsNowhereAreRefused) {
  Host host;
  EXPECT_EQ(host.command(0x7ff, {}), Status::kInvalidCommand);
  host.put(Register::kBufferHigh, 0x1234);
  host.put(Register::kCommand, std::uint32_t{sev::kSnpInitEx} << kCommandShift);
  EXPECT_EQ(host.get(Register::kCommand), kResponse | std::to_underlying(Status::kInvalidAddress));
}

TEST(SecureProcessor, TheHostCannotWriteAPageOfTheFirmwares) {
  Host host;
  ASSERT_EQ(host.init(), Status::kSuccess);
  const std::uint64_t page = host.page(true);
  host.poke(page, Bytes(16, std::byte{0x5a}));
  EXPECT_EQ(host.peek(page, 16), Bytes(16));
  const object::Event* told = last(host.trace, "write to a page of the firmware's");
  ASSERT_NE(told, nullptr);
  EXPECT_TRUE(told->refused);
  ASSERT_EQ(host.command(sev::kSnpPageReclaim, Writer().le(page).take()), Status::kSuccess);
  ASSERT_EQ(host.rmp_update(page, 0), 0U);
  host.poke(page, Bytes(16, std::byte{0x5a}));
  EXPECT_EQ(host.peek(page, 16), Bytes(16, std::byte{0x5a}));
}

TEST(SecureProcessor, AWriteAcrossAPagesEndReachesTheHostsPageAlone) {
  Host host;
  ASSERT_EQ(host.init(), Status::kSuccess);
  const std::uint64_t mine = host.page(false);
  (void)host.page(true);
  host.poke(mine + kPageSize - 4, Bytes(8, std::byte{0x11}));
  EXPECT_EQ(host.peek(mine + kPageSize - 4, 4), Bytes(4, std::byte{0x11}));
  EXPECT_EQ(host.peek(mine + kPageSize, 4), Bytes(4));
}

TEST(SecureProcessor, RmpUpdateRefusesWhatTheInstructionDoes) {
  Host host;
  ASSERT_EQ(host.init(), Status::kSuccess);
  const auto input = std::to_underlying(sev::RmpStatus::kFailInput);
  EXPECT_EQ(host.rmp_update(0x1000, kRmpAssigned), input) << "no memory of it";
  EXPECT_EQ(host.rmp_update(host.page(false), 1U << 9U), input) << "no such bit";
  EXPECT_EQ(host.rmp_update(host.page(true), 0),
            std::to_underlying(sev::RmpStatus::kFailPermission));
}

TEST(SecureProcessor, APortsConfigSpaceIsThatOfItsNumber) {
  Host host;
  host.put(Register::kPort, Host::kPort);
  EXPECT_EQ(host.get(kPortWindow), 0x0001'1efeU);
  host.put(Register::kPort, 9);
  EXPECT_EQ(host.get(kPortWindow), ~0U);
  host.put(kPortWindow + 4, 7);  // nobody's
  host.put(Register::kPort, Host::kPort);
  EXPECT_EQ(host.get(kPortWindow + 4) & 7U, 0U);
}

TEST(SecureProcessor, ACardIsConnectedBoundStartedAndLetGo) {
  Host host;
  host.connect();
  host.create_guest();
  host.bind();
  const device::Tdi& tdi = host.card->tdi(0);
  EXPECT_EQ(tdi.state(), wire::TdiState::kConfigLocked);
  sev::TioOperands run = host.about_tdi();
  run.run_flags = sev::kRunForce;
  EXPECT_EQ(host.tio(TioCommand::kTdiBind, run), Status::kSuccess);
  EXPECT_EQ(tdi.state(), wire::TdiState::kRun);
  EXPECT_EQ(host.tio(TioCommand::kTdiUnbind, host.about_tdi()), Status::kSuccess);
  EXPECT_EQ(tdi.state(), wire::TdiState::kConfigUnlocked);
  EXPECT_EQ(host.tio(TioCommand::kTdiReclaim, host.about_tdi()), Status::kSuccess);
  EXPECT_EQ(host.tio(TioCommand::kDevDisconnect), Status::kSuccess);
  EXPECT_EQ(host.tio(TioCommand::kDevReclaim), Status::kSuccess);
  EXPECT_EQ(host.command(sev::kSnpLaunchFinish, Writer().le(host.gctx).zeros(56).take()),
            Status::kSuccess);
  EXPECT_EQ(host.command(sev::kSnpDecommission, Writer().le(host.gctx).take()), Status::kSuccess);
  const Bytes shutdown = Writer().le(8U).le(0U).take();
  EXPECT_EQ(host.command(sev::kSnpShutdownEx, shutdown), Status::kDfFlushRequired);
  EXPECT_EQ(host.command(sev::kSnpDfFlush, {}), Status::kSuccess);
  EXPECT_EQ(host.command(sev::kSnpShutdownEx, shutdown), Status::kSuccess);
}

TEST(SecureProcessor, ASessionsObjectsAreCarriedAsThoseInTheClear) {
  crypto::set_random_source(crypto::RandomSource::kSystem);
  device::DsmSpdm spdm;
  spdm.sessions = true;
  Host host(spdm);
  host.connect();
  host.create_guest();
  host.bind();
  EXPECT_NE(last(host.trace, "KEY_EXCHANGE"), nullptr);
  EXPECT_EQ(host.card->tdi(0).state(), wire::TdiState::kConfigLocked);
}

TEST(SecureProcessor, WrongOrdersHaveTheFirmwaresStatus) {
  Host host;
  sev::TioOperands connect;
  connect.tc_mask = 1;
  EXPECT_EQ(host.tio(TioCommand::kInit), Status::kInvalidPlatformState) << "before SNP_INIT_EX";
  host.create_device();
  EXPECT_EQ(host.tio(TioCommand::kDevConnect, connect), Status::kInvalidConfig) << "no stream";
  EXPECT_EQ(host.tio(TioCommand::kDevDisconnect), Status::kInvalidDeviceState);
  host.set_up_streams();
  ASSERT_EQ(host.tio(TioCommand::kDevConnect, connect), Status::kSuccess);
  host.enable_streams();
  EXPECT_EQ(host.tio(TioCommand::kDevReclaim), Status::kInvalidDeviceState) << "connected";
  host.create_guest();
  host.bind();
  EXPECT_EQ(host.tio(TioCommand::kDevDisconnect), Status::kInUse) << "a TDI is bound";
  EXPECT_EQ(host.tio(TioCommand::kTdiReclaim, host.about_tdi()), Status::kInvalidTdiState);
  EXPECT_EQ(host.tio(TioCommand::kTdiBind, host.about_tdi()), Status::kInvalidTdiState);
  EXPECT_EQ(host.command(sev::kSnpDecommission, Writer().le(host.gctx).take()), Status::kInUse);
  EXPECT_EQ(host.command(sev::kSnpPageReclaim, Writer().le(host.gctx).take()),
            Status::kInvalidPageState);
  EXPECT_TRUE(is_ones(host.peek(host.gctx, 32))) << "a context is nobody's to read";
}

// A guest says what pages are, and which of them are a context: two of one entry are refused.
TEST(SecureProcessor, AContextHasItsOwnRmpEntries) {
  Host host;
  ASSERT_EQ(host.init(), Status::kSuccess);
  const std::uint64_t large = ((host.base() + sev::kRmp2M - 1) & ~(sev::kRmp2M - 1)) + sev::kRmp2M;
  const std::uint64_t list = host.page(false);
  host.poke(list, Writer().le(large).le(large + kPageSize).le(sev::Sla::kEnd).take());
  ASSERT_EQ(host.rmp_update(large, kRmpAssigned | kRmpImmutable | kRmpLarge), 0U);
  ASSERT_EQ(host.tio(TioCommand::kInit), Status::kSuccess);
  host.device = sev::Sla::of(Hpa{list}, true);
  sev::TioOperands create;
  create.device_id = 0x100;
  create.root_port_id = Host::kPort;
  EXPECT_EQ(host.tio(TioCommand::kDevCreate, create), Status::kInvalidPageState);
  EXPECT_EQ(host.command(sev::kSnpGctxCreate, Writer().le(large).take()), Status::kInvalidPageSize);
  EXPECT_EQ(host.command(sev::kSnpPlatformStatus, Writer().le(large).take()),
            Status::kInvalidPageSize);
  EXPECT_EQ(host.command(sev::kSnpPageReclaim, Writer().le(large | 1U).take()), Status::kSuccess)
      << "all of it, as before";
}

TEST(SecureProcessor, AResetIsPowerOn) {
  Host host;
  host.connect();
  host.create_guest();
  host.bind();
  host.processor->function().reset(hw::ResetKind::kFunctionLevel);
  host.memory_on();
  EXPECT_EQ(host.init(), Status::kInvalidPlatformState) << "the platform's, not the function's";
  host.processor->function().reset(hw::ResetKind::kHot);
  host.memory_on();
  EXPECT_EQ(host.get(Register::kBufferLow), 0U);
  EXPECT_EQ(host.peek(host.gctx, 16), Bytes(16));
  EXPECT_EQ(host.init(), Status::kSuccess);
}

TEST(SecureProcessor, TheCoresCallsAreArrowsAroundTheCommands) {
  Host host;
  constexpr std::uint32_t kRid = 0x0100;
  host.put(Register::kCall, static_cast<std::uint32_t>(CoreCall::kConnect) << 16U | kRid);
  ASSERT_EQ(host.init(), Status::kSuccess);
  host.put(Register::kCallEnd, 0);
  host.put(Register::kCall, static_cast<std::uint32_t>(CoreCall::kBind) << 16U | kRid);
  host.put(Register::kCallEnd, 16);
  host.put(Register::kCallEnd, 5);                // of none
  host.put(Register::kCall, 200U << 16U | kRid);  // there is no such call
  const object::Event* connect = last(host.trace, "connect");
  const object::Event* bind = last(host.trace, "bind");
  ASSERT_TRUE(connect != nullptr && bind != nullptr);
  EXPECT_EQ(connect->function, Bdf::from_rid(kRid));
  EXPECT_EQ(connect->outcome, "ok");
  EXPECT_EQ(last(host.trace, "SNP_INIT_EX")->parent, connect->seq);
  EXPECT_TRUE(bind->refused);
  EXPECT_EQ(bind->outcome, "EBUSY");
}

}  // namespace
}  // namespace teeio::secure_processor
