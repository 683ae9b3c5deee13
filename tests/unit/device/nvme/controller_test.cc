// Registers, queues, admin commands, events; and the TDI that a controller is.

#include "unit/device/nvme/driver.h"

namespace teeio::nvme::testing {
namespace {

using Controller = NvmeTest;
constexpr std::uint32_t kReady = 1, kFatal = 2, kShutDown = 8;

std::uint64_t number_at(ByteView bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i)
    value = value << 8U | std::to_integer<std::uint64_t>(bytes[at + i - 1]);
  return value;
}
std::string text_at(ByteView bytes, std::size_t at, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes.data()) + at, size};
}

TEST_F(Controller, SaysWhatLinuxLooksAtFirst) {
  EXPECT_EQ(config(kPfIndex, 0x08) >> 8U, 0x010802U) << "the class that the driver matches";
  EXPECT_EQ(reg(0x00) & 0xffffU, kMaxEntries - 1);
  EXPECT_EQ(reg(0x04) & 0xfU, 0U) << "doorbells every four bytes";
  EXPECT_EQ(reg(0x08), 0x0001'0400U);
  EXPECT_EQ(csts(), kReady);
}

TEST_F(Controller, IdentifiesItselfAndItsNamespaces) {
  Command identify = admin_command(AdminOpcode::kIdentify, 1);
  ASSERT_EQ(admin(identify).status, Status::kSuccess);
  const ByteView who = data(4096);
  EXPECT_EQ(number_at(who, 0, 2), 0x1efeU);
  EXPECT_EQ(text_at(who, 24, 21), "teeio NVMe controller");
  EXPECT_EQ(number_at(who, 512, 2), 0x4466U);
  EXPECT_EQ(number_at(who, 516, 4), 2U);
  EXPECT_EQ(text_at(who, 768, 32), "nqn.2014-08.org.nvmexpress:uuid:");
  const std::string name = text_at(who, 768, 68);

  identify.cdw10 = 0;
  identify.nsid = 2;
  ASSERT_EQ(admin(identify).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(4096), 0, 8), (1U << 20U) / 512);
  EXPECT_EQ(number_at(data(4096), 128, 4), 9U << 16U);
  identify.nsid = 3;
  EXPECT_EQ(admin(identify).status, Status::kInvalidNamespace);

  identify.cdw10 = 2;
  identify.nsid = 1;
  ASSERT_EQ(admin(identify).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(4096), 0, 8), 2U) << "those after 1";
  identify.nsid = kAllNamespaces;
  EXPECT_EQ(admin(identify).status, Status::kInvalidNamespace);

  identify.cdw10 = 3;
  identify.nsid = 1;
  ASSERT_EQ(admin(identify).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(4096), 0, 2), 0x1003U);
  const Bytes first(data(20).begin(), data(20).end());
  identify.nsid = 2;
  ASSERT_EQ(admin(identify).status, Status::kSuccess);
  EXPECT_FALSE(std::ranges::equal(first, data(20)));

  identify.cdw10 = 0x55;
  EXPECT_EQ(admin(identify).status, Status::kInvalidField);
  // A VF is a subsystem of its own.
  bring_up(kVfIndex);
  ASSERT_EQ(admin(admin_command(AdminOpcode::kIdentify, 1)).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(4096), 516, 4), 1U);
  EXPECT_NE(text_at(data(4096), 768, 68), name);
}

TEST_F(Controller, RefusesQueuesThatCannotBe) {
  const auto with = [](Command command, std::uint32_t cdw10, std::uint32_t cdw11,
                       std::uint64_t prp1) {
    command.cdw10 = cdw10, command.cdw11 = cdw11, command.prp1 = prp1;
    return command;
  };
  const Command cq = create_cq(2), sq = create_sq(2);
  for (const auto& [command, status] : {
           std::pair{create_cq(0), Status::kInvalidQueueId},
           {create_cq(1), Status::kInvalidQueueId},
           {create_cq(kIoQueues + 1), Status::kInvalidQueueId},
           {create_cq(2, 1), Status::kInvalidQueueSize},
           {create_cq(2, kMaxEntries + 1), Status::kInvalidQueueSize},
           {with(cq, cq.cdw10, 2, cq.prp1), Status::kInvalidField},  // not contiguous
           {with(cq, cq.cdw10, cq.cdw11, kIoCq + 4), Status::kPrpOffsetInvalid},
           {with(cq, cq.cdw10, 3U | kDoeVector << 16U, cq.prp1), Status::kInvalidVector},
           {create_sq(2), Status::kCqInvalid},
           {with(sq, sq.cdw10, 1, sq.prp1), Status::kInvalidQueueId},  // the admin queue's
           {with(sq, sq.cdw10, 1U | 99U << 16U, sq.prp1), Status::kInvalidQueueId},
           {create_sq(1), Status::kInvalidQueueId},
           {with(sq, 2U, 1U | 1U << 16U, sq.prp1), Status::kInvalidQueueSize},
           {with(sq, sq.cdw10, 1U | 1U << 16U, kIoSq + 8), Status::kPrpOffsetInvalid},
           {admin_command(AdminOpcode::kDeleteCq, 1), Status::kInvalidQueueDeletion},
           {admin_command(AdminOpcode::kDeleteCq, 2), Status::kInvalidQueueId},
           {admin_command(AdminOpcode::kDeleteSq, 0), Status::kInvalidQueueId},
           {admin_command(AdminOpcode::kDeleteSq, 99), Status::kInvalidQueueId},
           {admin_command(AdminOpcode{0x7f}), Status::kInvalidOpcode},
       }) {
    const Reply reply = admin(command);
    EXPECT_EQ(reply.status, status) << unsigned{command.opcode} << " " << command.cdw10;
    EXPECT_TRUE(reply.do_not_retry);
  }
  EXPECT_EQ(admin(admin_command(AdminOpcode::kDeleteSq, 1)).status, Status::kSuccess);
  EXPECT_EQ(admin(admin_command(AdminOpcode::kDeleteCq, 1)).status, Status::kSuccess);
}

TEST_F(Controller, WaitsForRoomInACompletionQueue) {
  // A completion queue of two entries has room for one.
  ASSERT_EQ(admin(admin_command(AdminOpcode::kDeleteSq, 1)).status, Status::kSuccess);
  ASSERT_EQ(admin(admin_command(AdminOpcode::kDeleteCq, 1)).status, Status::kSuccess);
  ASSERT_EQ(admin(create_cq(1, 2)).status, Status::kSuccess);
  ASSERT_EQ(admin(create_sq(1)).status, Status::kSuccess);
  const std::uint64_t first = kIoCq, second = kIoCq + 16;
  put(first, Bytes(32));
  for (int i = 0; i < 3; ++i) queue(1, io(IoOpcode::kFlush, 0, 1));
  ring(1);
  EXPECT_EQ(number_at(data(16, first), 14, 2) & 1U, 1U);
  EXPECT_EQ(number_at(data(16, first), 8, 2), 1U) << "one command was taken";
  EXPECT_EQ(number_at(data(16, second), 14, 2) & 1U, 0U);
  reg(0x100c, 1);
  EXPECT_EQ(number_at(data(16, second), 14, 2) & 1U, 1U);
  EXPECT_EQ(number_at(data(16, second), 8, 2), 2U);
  reg(0x100c, 0);
  EXPECT_EQ(number_at(data(16, first), 14, 2) & 1U, 0U) << "the phase of the second round";
  EXPECT_EQ(number_at(data(16, first), 8, 2), 3U);
}

TEST_F(Controller, TellsOfDoorbellsThatMakeNoSense) {
  queue(0, admin_command(AdminOpcode::kAsyncEvent));
  ring(0);
  EXPECT_FALSE(next(0).has_value()) << "it waits";
  reg(0x1000 + 8 * 5, 1);  // no such queue
  auto told = next(0);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->result, 0x01'0000U);
  take(0);
  reg(0x1008, kEntries);  // no such entry
  reg(0x100c, 5);         // more than was completed
  queue(0, admin_command(AdminOpcode::kAsyncEvent));
  ring(0);
  EXPECT_FALSE(next(0).has_value()) << "silent until the log was read";
  queue(0, admin_command(AdminOpcode::kGetLogPage, 1U | 15U << 16U));
  ring(0);
  const auto log = next(0);
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->status, Status::kSuccess);
  EXPECT_EQ(number_at(data(64), 0, 8), 3U) << "the latest of three entries";
  EXPECT_EQ(number_at(data(64), 8, 4), 0xffff'ffffU) << "of no queue and no command";
  EXPECT_EQ(number_at(data(64), 12, 2) >> 1U & 0x7ffU, 0x2U);
  told = next(0);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->result, 0x01'0100U);
  EXPECT_EQ(csts(), kReady);
}

TEST_F(Controller, EventRequestsAreBoundedAndCanBeAborted) {
  std::vector<std::uint16_t> ids;
  for (int i = 0; i < kEventLimit; ++i)
    ids.push_back(queue(0, admin_command(AdminOpcode::kAsyncEvent)));
  ring(0);
  EXPECT_EQ(admin(admin_command(AdminOpcode::kAsyncEvent)).status, Status::kEventLimitExceeded);
  const std::uint16_t abort =
      queue(0, admin_command(AdminOpcode::kAbort, std::uint32_t{ids[2]} << 16U));
  ring(0);
  const auto aborted = next(0);
  ASSERT_TRUE(aborted.has_value());
  EXPECT_EQ(aborted->id, ids[2]) << "before the Abort";
  EXPECT_EQ(aborted->status, Status::kAbortRequested);
  const auto done = next(0);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->id, abort);
  EXPECT_EQ(done->status, Status::kSuccess);
  EXPECT_EQ(done->result, 0U);
  take(0);
  const Reply reply = admin(admin_command(AdminOpcode::kAbort, 0x1234'0001));
  EXPECT_EQ(reply.status, Status::kSuccess);
  EXPECT_EQ(reply.result, 1U) << "nothing was aborted";
}

TEST_F(Controller, StopsWhenItsQueuesCannotBeReachedAndComesBackByReset) {
  Command far = create_sq(2);
  far.cdw11 = 1U | 1U << 16U;
  far.prp1 = kNowhere;
  ASSERT_EQ(admin(far).status, Status::kSuccess);
  reg(0x1010, 1);
  EXPECT_EQ(csts(), kReady | kFatal);
  queue(0, admin_command(AdminOpcode::kIdentify, 1));
  ring(0);
  EXPECT_FALSE(next(0).has_value());
  reg(0x14, 0);
  EXPECT_EQ(csts(), 0U);
  bring_up(kPfIndex);
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 1)).status, Status::kSuccess);
}

TEST_F(Controller, RefusesToBeEnabledWithoutSense) {
  for (const std::uint32_t bad : {kConfiguration | 1U << 7U, kConfiguration | 1U << 4U,
                                  kConfiguration | 1U << 11U, (7U << 16U) | 1U}) {
    reg(0x14, 0);
    enable(bad);
    EXPECT_EQ(csts(), kFatal) << bad;
  }
  reg(0x14, 0);
  reg(0x24, 0);
  reg(0x14, kConfiguration);
  EXPECT_EQ(csts(), kFatal) << "queues of one entry";
}

TEST_F(Controller, AResetForgetsQueuesAndKeepsData) {
  put(kData, pattern(512));
  ASSERT_EQ(io(io(IoOpcode::kWrite, 3, 1)).status, Status::kSuccess);
  reg(0x14, 0);
  EXPECT_EQ(csts(), 0U);
  EXPECT_EQ(reg(0x28), kAdminSq);
  reg(0x1008, 1);
  function(kPfIndex).reset(hw::ResetKind::kFunctionLevel);
  set_config(kPfIndex, 0x04, 0x0006, 2);
  EXPECT_EQ(reg(0x28), 0U);
  bring_up(kPfIndex);
  put(kData, Bytes(512));
  ASSERT_EQ(io(io(IoOpcode::kRead, 3, 1)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(512), pattern(512)));
}

TEST_F(Controller, ShutsDown) {
  reg(0x14, kConfiguration | 1U << 14U);
  EXPECT_EQ(csts(), kReady | kShutDown);
  queue(1, io(IoOpcode::kRead, 0, 1));
  ring(1);
  EXPECT_FALSE(next(1).has_value());
  reg(0x14, 0);
  EXPECT_EQ(csts(), 0U);
}

TEST_F(Controller, AnAbortWaitsBehindItsRequestForRoom) {
  reg(0x14, 0);
  reg(0x24, (kEntries - 1U) | 1U << 16U);  // a completion queue of two entries has room for one
  put(kAdminCq, Bytes(32));
  reg(0x14, kConfiguration);
  const std::uint64_t first = kAdminCq, second = kAdminCq + 16;
  put(kAdminSq, Writer()
                    .le(std::uint8_t{0x0c})  // Asynchronous Event Request 5
                    .zeros(1)
                    .le(std::uint16_t{5})
                    .zeros(60)
                    .le(std::uint8_t{0x08})  // Abort 6
                    .zeros(1)
                    .le(std::uint16_t{6})
                    .zeros(36)
                    .le(std::uint32_t{5U << 16U})
                    .zeros(20)
                    .take());
  reg(0x1000, 2);
  EXPECT_EQ(number_at(data(16, first), 12, 2), 5U);
  EXPECT_EQ(number_at(data(16, first), 14, 2) & 1U, 1U);
  EXPECT_EQ(number_at(data(16, second), 14, 2) & 1U, 0U) << "there is no room for it";
  reg(0x1004, 1);
  EXPECT_EQ(number_at(data(16, second), 12, 2), 6U);
  EXPECT_EQ(number_at(data(16, second), 14, 2), 1U);
}

TEST_F(Controller, ErrorRecoveryIsOfANamespace) {
  const auto ask = [&](AdminOpcode opcode, std::uint32_t nsid, std::uint32_t value = 0) {
    Command command = admin_command(opcode, 5, value);
    command.nsid = nsid;
    return admin(command);
  };
  EXPECT_EQ(ask(AdminOpcode::kSetFeatures, 2, 7).status, Status::kSuccess);
  EXPECT_EQ(ask(AdminOpcode::kGetFeatures, 1).result, 0U);
  EXPECT_EQ(ask(AdminOpcode::kGetFeatures, 2).result, 7U);
  EXPECT_EQ(ask(AdminOpcode::kSetFeatures, kAllNamespaces, 9).status, Status::kSuccess);
  EXPECT_EQ(ask(AdminOpcode::kGetFeatures, 1).result, 9U);
  EXPECT_EQ(ask(AdminOpcode::kGetFeatures, 2).result, 9U);
  EXPECT_EQ(ask(AdminOpcode::kGetFeatures, kAllNamespaces).status, Status::kInvalidNamespace);
}

TEST_F(Controller, FeaturesAreSetAndGot) {
  const auto set = [&](std::uint32_t id, std::uint32_t value, std::uint32_t nsid = 0) {
    Command command = admin_command(AdminOpcode::kSetFeatures, id, value);
    command.nsid = nsid;
    return admin(command).status;
  };
  const auto get = [&](std::uint32_t id, std::uint32_t word = 0) {
    return admin(admin_command(AdminOpcode::kGetFeatures, id, word)).result;
  };
  EXPECT_EQ(get(7), 0x000f'000fU);
  EXPECT_EQ(set(7, 0), Status::kSequenceError) << "there are queues";
  EXPECT_EQ(get(6), 1U);
  EXPECT_EQ(set(6, 0), Status::kSuccess);
  EXPECT_EQ(get(6), 0U);
  EXPECT_EQ(io(io(IoOpcode::kWrite, 0, 1)).status, Status::kSuccess);
  EXPECT_EQ(set(6, 0, 1), Status::kNotNamespaceSpecific);
  EXPECT_EQ(set(0x8000'0006, 0), Status::kNotSaveable);
  EXPECT_EQ(set(3, 0), Status::kInvalidField);
  EXPECT_EQ(set(0xc, 0), Status::kInvalidField);
  EXPECT_EQ(set(2, 1), Status::kInvalidField) << "there is one power state";
  EXPECT_EQ(set(9, kVectors), Status::kInvalidField);
  EXPECT_EQ(set(9, 3U | 1U << 16U), Status::kSuccess);
  EXPECT_EQ(get(9, 3), 3U | 1U << 16U);
  EXPECT_EQ(set(0xb, 0x100), Status::kInvalidField);
  EXPECT_EQ(set(5, 7, 9), Status::kInvalidNamespace);
  // A threshold below this model's temperature shows in the health log.
  EXPECT_EQ(set(4, 200), Status::kSuccess);
  ASSERT_EQ(admin(admin_command(AdminOpcode::kGetLogPage, 2U | 127U << 16U)).status,
            Status::kSuccess);
  EXPECT_EQ(number_at(data(512), 0, 1), 2U);
  EXPECT_EQ(number_at(data(512), 1, 2), 300U);
  // A reset brings the defaults back.
  reg(0x14, 0);
  bring_up(kPfIndex);
  EXPECT_EQ(get(6), 1U);
}

TEST_F(Controller, TellsOfATemperatureThatPassesANewThreshold) {
  queue(0, admin_command(AdminOpcode::kAsyncEvent));
  ring(0);
  const auto set = [&](std::uint32_t id, std::uint32_t value) {
    queue(0, admin_command(AdminOpcode::kSetFeatures, id, value));
    ring(0);
    const auto done = next(0);
    return done ? done->status : Status{0x7ff};
  };
  EXPECT_EQ(set(4, 299), Status::kSuccess);
  EXPECT_FALSE(next(0).has_value()) << "nobody asked for such events";
  EXPECT_EQ(set(0xb, 2), Status::kSuccess);
  EXPECT_EQ(set(4, 400 | 0xfU << 16U), Status::kSuccess) << "all sensors";
  EXPECT_FALSE(next(0).has_value()) << "it is not as hot";
  EXPECT_EQ(set(4, 300), Status::kSuccess);
  const auto told = next(0);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->result, 0x02'0101U);
  take(0);
  EXPECT_EQ(admin(admin_command(AdminOpcode::kGetFeatures, 4, 0xfU << 16U)).status,
            Status::kInvalidField)
      << "which of all would it be";
}

TEST_F(Controller, EntriesHaveASizeBeforeAQueueIsMade) {
  reg(0x14, 0);
  enable(1);
  EXPECT_EQ(csts(), kReady);
  EXPECT_EQ(admin(create_cq(1)).status, Status::kInvalidQueueSize);
  reg(0x14, 1U | 4U << 20U);
  EXPECT_EQ(admin(create_cq(1)).status, Status::kSuccess);
  EXPECT_EQ(admin(create_sq(1)).status, Status::kInvalidQueueSize);
  reg(0x14, kConfiguration);
  EXPECT_EQ(admin(create_sq(1)).status, Status::kSuccess);
}

TEST_F(Controller, LogPagesCountAndRefuse) {
  EXPECT_EQ(io(io(IoOpcode::kWrite, 0, 8)).status, Status::kSuccess);
  Command bad = io(IoOpcode::kRead, 1U << 30U, 1);
  EXPECT_EQ(io(bad).status, Status::kLbaOutOfRange);
  Command log = admin_command(AdminOpcode::kGetLogPage, 2U | 127U << 16U);
  ASSERT_EQ(admin(log).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(512), 48, 8), 1U) << "units written";
  EXPECT_EQ(number_at(data(512), 80, 8), 1U) << "write commands";
  EXPECT_EQ(number_at(data(512), 176, 8), 1U) << "entries of the error log";
  log = admin_command(AdminOpcode::kGetLogPage, 1U | 31U << 16U);
  ASSERT_EQ(admin(log).status, Status::kSuccess);
  EXPECT_EQ(number_at(data(512), 0, 8), 1U);
  EXPECT_EQ(number_at(data(512), 8, 2), 1U) << "the queue";
  EXPECT_EQ(number_at(data(512), 12, 2) >> 1U & 0x7ffU, 0x80U);
  EXPECT_EQ(number_at(data(512), 16, 8), 1U << 30U);
  log.cdw10 = 3U | 127U << 16U;
  ASSERT_EQ(admin(log).status, Status::kSuccess);
  EXPECT_EQ(text_at(data(512), 8, 4), "1.0 ");
  log.cdw10 = 0x80U;
  EXPECT_EQ(admin(log).status, Status::kInvalidLogPage);
  log.cdw10 = 2U;
  log.cdw11 = 0xffffU;
  EXPECT_EQ(admin(log).status, Status::kInvalidField) << "more than MDTS";
  log.cdw11 = 0;
  log.cdw12 = 514;
  EXPECT_EQ(admin(log).status, Status::kInvalidField);
  log.cdw12 = 0;
  log.nsid = 1;
  EXPECT_EQ(admin(log).status, Status::kInvalidField);
}

TEST_F(Controller, AccessesOfOtherSizesReadAsOnes) {
  std::uint16_t half = 0;
  bar(kPfIndex, 0).mmio_read(0x14, writable_bytes_of(half));
  EXPECT_EQ(half, 0xffff);
  std::uint64_t both = 0;
  bar(kPfIndex, 0).mmio_read(0, writable_bytes_of(both));
  EXPECT_EQ(both >> 32U, reg(4));
  bar(kPfIndex, 0).mmio_write(0x14, bytes_of(std::uint8_t{0}));
  EXPECT_EQ(csts(), kReady);
}

TEST_F(Controller, ATdiThatRunsAsksForTrustedMemoryAlone) {
  start(kVfIndex);
  EXPECT_EQ(csts(), kReady);
  lock(kVfIndex);
  EXPECT_EQ(reg(0x1c), 0xffff'ffffU) << "no shared access is answered";
  tdisp(kVfIndex, wire::TdispStartInterface{nonce});
  ASSERT_EQ(state(kVfIndex), TdiState::kRun);
  const Bytes shared_before = port.shared;
  bring_up(kVfIndex, TBit::kTrusted);
  put(kData, pattern(4096));
  EXPECT_EQ(io(io(IoOpcode::kWrite, 0, 8)).status, Status::kSuccess);
  put(kData, Bytes(4096));
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 8)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(4096), pattern(4096)));
  EXPECT_EQ(port.shared, shared_before) << "nothing went out with T=0";
  stop(kVfIndex);
  EXPECT_EQ(mmio(kVfIndex, 0, 0x28), 0U) << "registers are scrubbed";
}

TEST_F(Controller, AMessageIsAsTrustedAsTheTdiIsWhenItLeaves) {
  enable_bus_master(kVfIndex);
  set_config(kVfIndex, capability(kVfIndex, 0x11) + 2, 0x8000, 2);
  run(kVfIndex, wire::kLockMsix);
  bring_up(kVfIndex, TBit::kTrusted);
  const auto unmask = [&](unsigned vector, TBit t) {
    port.messages.clear();
    set_mmio(kVfIndex, 4, vector * 16, 0xfee0'0000, t);
    set_mmio(kVfIndex, 4, vector * 16 + 12, 0, t);
    return port.messages.size();
  };
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 1)).status, Status::kSuccess);
  ASSERT_EQ(unmask(0, TBit::kTrusted), 1U) << "it has waited";
  EXPECT_EQ(port.messages.front().t, TBit::kTrusted);
  stop(kVfIndex);
  ASSERT_EQ(unmask(1, TBit::kShared), 1U) << "likewise, longer than the TVM had the TDI";
  EXPECT_EQ(port.messages.front().t, TBit::kShared);
}

TEST_F(Controller, AMessageThatWaitsIsNotSentWithoutBusMastering) {
  set_config(kPfIndex, capability(kPfIndex, 0x11) + 2, 0x8000, 2);
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 1)).status, Status::kSuccess);
  set_config(kPfIndex, 0x04, 0x0002, 2);
  port.messages.clear();
  set_mmio(kPfIndex, 4, 16, 0xfee0'0000);
  set_mmio(kPfIndex, 4, 28, 0);
  EXPECT_TRUE(port.messages.empty());
  enable_bus_master(kPfIndex);
  EXPECT_EQ(port.messages.size(), 1U);
}

TEST_F(Controller, WithoutBusMasteringCommandsWait) {
  set_config(kPfIndex, 0x04, 0x0002, 2);
  queue(1, io(IoOpcode::kRead, 0, 1));
  ring(1);
  EXPECT_FALSE(next(1).has_value());
  EXPECT_EQ(csts(), kReady);
  set_config(kPfIndex, 0x04, 0x0006, 2);
  ring(1);
  EXPECT_TRUE(next(1).has_value());
}

}  // namespace
}  // namespace teeio::nvme::testing
