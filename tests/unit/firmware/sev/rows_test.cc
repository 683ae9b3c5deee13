// Every row of rows_platform.cc and rows_guest.cc: the command succeeds as it is, and is
// refused with the row's status when that one check alone is violated. SNP_GUEST_REQUEST is
// walked in attestation_test.cc.

#include "firmware/sev/rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "firmware/sev/attestation.h"
#include "firmware/sev/launch.h"
#include "unit/firmware/sev/id_owner.h"
#include "unit/firmware/sev/large_pages.h"

namespace teeio::sev {
namespace {

struct Case {
  const Row* row;
  const Check* check;  ///< null: the command as it should be
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Row* row : rows()) {
    if (row == &row::kSnpGuestRequest) continue;
    if (row != &row::kSnpVlekLoad) all.push_back({row, nullptr});  // it never succeeds
    for (const Check& check : row->checks) all.push_back({row, &check});
  }
  return all;
}

class RowTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr Asid kAsid = 5;
  static constexpr Gpa kGpa{0x4000};

  RowTest() {
    trace.keep_events(true);
    if (&row() != &row::kSnpInitEx) init();
    gctx = page({.assigned = true, .immutable = true});
    psp.make_guest(gctx);
    firmware = page({.assigned = true, .immutable = true});
    EXPECT_TRUE(rmp.update(buffer_page, {.assigned = true, .immutable = true}) ==
                RmpStatus::kSuccess);
  }
  [[nodiscard]] static const Row& row() { return *GetParam().row; }
  [[nodiscard]] static bool spoils(std::string_view id) {
    return GetParam().check != nullptr && GetParam().check->id == id;
  }
  Hpa page(const RmpUpdate& update) {
    const Hpa made = *memory.alloc_page();
    EXPECT_EQ(rmp.update(made, update), RmpStatus::kSuccess);
    return made;
  }
  Status run(std::uint16_t number, const Bytes& buffer) {
    EXPECT_TRUE(memory.write(buffer_page, buffer));
    return psp.command(number, buffer_page);
  }
  void init() {
    ASSERT_EQ(run(kSnpInitEx, Writer().le(kInitRmp).zeros(60).take()), Status::kSuccess);
  }
  /// A page of the firmware's that has no entry of its own.
  Hpa in_a_large_entry() { return large_firmware_pages(memory, rmp) + kPageSize; }
  GuestContext& guest() { return *psp.guest(gctx); }
  /// A page of MMIO.
  Hpa of_mmio() {
    constexpr Hpa kBar{0x8000'0000};
    EXPECT_TRUE(memory.claim_mmio(kBar, kPageSize, bar));
    return kBar;
  }
  /// What an operand that is a page of the firmware's is: another one when a check is spoiled.
  Hpa answer_page() {
    if (spoils("address")) return Hpa{0x1000};
    if (spoils("crosses")) return firmware + (kPageSize - 8);
    if (spoils("size") && row().number != kSnpPageReclaim) return in_a_large_entry();
    return spoils("page") ? *memory.alloc_page() : firmware;
  }

  /// The length that a buffer begins with.
  static std::uint32_t says(std::uint32_t length) { return spoils("says") ? length + 1 : length; }

  Bytes platform_buffer();
  Bytes guest_buffer();
  Bytes init_buffer();
  Bytes start_buffer();
  Bytes update_buffer();
  Bytes finish_buffer();

  struct Silent final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte>) override {}
    void mmio_write(std::uint64_t, ByteView) override {}
  } bar;
  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  Platform without_tio{memory, trace, rmp, {.tio = false}};
  Platform with_tio{memory, trace, rmp, {}};
  Platform& psp = spoils("tio") ? without_tio : with_tio;
  IoGuard guard{trace};
  Launch launch{psp, guard};
  Attestation attestation{psp};
  Hpa buffer_page = *memory.alloc_page();
  Hpa gctx{0}, firmware{0};
};

Bytes RowTest::init_buffer() {
  if (spoils("again")) init();
  if (spoils("rmp")) {
    psp.remove_guest(gctx);
    for (const Hpa at : {gctx, firmware, buffer_page}) {
      rmp.let_go(at);
      EXPECT_EQ(rmp.update(at, {}), RmpStatus::kSuccess);
    }
  }
  const bool bare = spoils("rmp") || spoils("list");
  const std::uint32_t flags = (bare ? 0 : kInitRmp) | (spoils("list") ? kInitList : 0) |
                              kInitTioEnable | (spoils("reserved") ? 8U : 0U);
  return Writer().le(flags).zeros(60).take();
}

Bytes RowTest::platform_buffer() {
  const std::uint16_t number = row().number;
  if (spoils("buffer")) {
    rmp.let_go(buffer_page);
    EXPECT_EQ(rmp.update(buffer_page, {}), RmpStatus::kSuccess);
  }
  if (number == kPlatformStatus) return Bytes(12);
  if (number == kGetId)
    return Writer().le(raw(answer_page())).le(spoils("length") ? 63U : 64U).take();
  if (number == kSnpInitEx) return init_buffer();
  if (number == kSnpShutdownEx) {
    if (spoils("flush")) psp.dirty_asids().insert(kAsid);
    if (spoils("x86")) return Writer().le(8U).le(2U).take();
    return Writer().le(says(8)).le(spoils("reserved") ? 4U : 3U).take();
  }
  if (number == kSnpPageReclaim) {
    Hpa at = spoils("state") ? gctx : answer_page();
    if (spoils("aligned")) return Writer().le(raw(in_a_large_entry()) | 1U).take();
    if (spoils("reserved")) at = at + 2;
    return Writer().le(raw(at) | (spoils("size") ? 1U : 0U)).take();
  }
  if (number == kSnpConfig) {
    TcbVersion wanted = Chip::kCurrent;
    if (spoils("tcb")) ++wanted.snp;
    return Writer().le(wanted.encode()).le(spoils("reserved") ? 4U : 3U).zeros(52).take();
  }
  if (number == kSnpCommit) return Writer().le(says(4)).take();
  if (number == kSnpVlekLoad) {
    const Hpa stick = *memory.alloc_page();
    if (!spoils("tcb")) {
      EXPECT_TRUE(memory.write(stick + 0x190, bytes_of(psp.chip().reported.encode())));
    }
    return Writer()
        .le(says(16))
        .le(static_cast<std::uint8_t>(spoils("version") ? 1 : 0))
        .le(static_cast<std::uint8_t>(spoils("reserved") ? 1 : 0))
        .zeros(2)
        .le(raw(spoils("address") ? Hpa{0x1000} : stick))
        .take();
  }
  if (number == kSnpFeatureInfo)
    return Writer().le(says(16)).le(spoils("function") ? 1U : 0U).le(raw(answer_page())).take();
  if (number == kSnpDfFlush) return {};
  return Writer().le(raw(answer_page())).take();  // SNP_PLATFORM_STATUS
}

Bytes RowTest::start_buffer() {
  std::uint64_t policy = kPolicyMustBeOne | 0x0133;
  if (spoils("policy_one")) policy = 0x0133;
  if (spoils("policy_abi")) policy = kPolicyMustBeOne | 0x0200;
  if (spoils("policy_feature")) policy |= 1U << 24U;
  guest().state = spoils("state") ? GuestContext::State::kLaunch : GuestContext::State::kInit;
  std::uint32_t flags = spoils("reserved") ? 4 : 0;
  if (spoils("incoming")) flags = 2;
  if (spoils("agent") || spoils("policy_agent")) flags = 1;
  Hpa agent{0};
  if (spoils("policy_agent")) {
    agent = page({.assigned = true, .immutable = true});
    psp.make_guest(agent);
  }
  return Writer().le(raw(gctx)).le(policy).le(raw(agent)).le(flags).zeros(20).take();
}

Bytes RowTest::update_buffer() {
  Hpa at = page({.assigned = true,
                 .immutable = !spoils("state"),
                 .asid = spoils("owner") ? kAsid + 1 : kAsid,
                 .gpa = kGpa});
  guest().asid = spoils("inactive") ? 0 : kAsid;
  auto type = spoils("cpuid") ? LaunchPage::kCpuid : LaunchPage::kNormal;
  if (spoils("cpuid")) {
    EXPECT_TRUE(memory.write_u64(at, 65, hw::KeyId{kAsid}));
  }
  if (spoils("type")) type = LaunchPage{7};
  if (spoils("address")) {
    at = of_mmio();
    EXPECT_EQ(rmp.update(at, {.assigned = true, .immutable = true, .asid = kAsid, .gpa = kGpa}),
              RmpStatus::kSuccess);
  }
  std::uint32_t flags = static_cast<std::uint32_t>(type) << 1U;
  if (spoils("incoming")) flags |= 1U << 4U;
  if (spoils("size")) flags |= 1U;
  return Writer()
      .le(raw(gctx))
      .le(flags)
      .le(spoils("reserved") ? 1U : 0U)
      .le(raw(at))
      .le(0x0f0f'0f00U)
      .le(0U)
      .take();
}

Bytes RowTest::guest_buffer() {
  const std::uint16_t number = row().number;
  if (number == kSnpGctxCreate) {
    Hpa at = answer_page();
    if (spoils("mmio")) {
      at = of_mmio();
      EXPECT_EQ(rmp.update(at, {.assigned = true, .immutable = true}), RmpStatus::kSuccess);
    }
    return Writer().le(raw(at)).take();
  }
  guest().state = spoils("launched") ? GuestContext::State::kInit : GuestContext::State::kLaunch;
  if (spoils("launch")) guest().state = GuestContext::State::kRunning;
  if (spoils("bound")) guest().bound_tdis = 1;
  if (spoils("active")) guest().asid = kAsid + 1;
  if (spoils("owned")) psp.make_guest(page({.assigned = true, .immutable = true})).asid = kAsid;
  if (spoils("flush")) psp.dirty_asids().insert(kAsid);
  if (spoils("pages")) (void)page({.assigned = true, .asid = kAsid, .gpa = kGpa});
  if (number == kSnpLaunchStart) return start_buffer();
  if (number == kSnpLaunchUpdate) return update_buffer();
  if (number == kSnpActivate)
    return Writer().le(raw(gctx)).le(spoils("asid") ? Rmp::kMaxAsid + 1 : kAsid).take();
  if (number == kSnpGuestStatus) return Writer().le(raw(gctx)).le(raw(answer_page())).take();
  if (number == kSnpDecommission) return Writer().le(raw(gctx)).take();
  guest().asid = spoils("inactive") ? 0 : kAsid;
  return finish_buffer();
}

/// Of SNP_LAUNCH_FINISH, with an ID block whose ID key an author has signed.
Bytes RowTest::finish_buffer() {
  const test::IdOwner owner;
  Bytes block = test::IdOwner::block(guest().digest, guest().policy);
  if (spoils("id_digest")) block[0] ^= std::byte{1};
  if (spoils("id_policy")) block[95] ^= std::byte{1};
  Bytes by = owner.authentication(block);
  const auto spoil = [&by](std::size_t at) { by[at] ^= std::byte{1}; };
  if (spoils("id_algorithm")) spoil(4);
  if (spoils("id_key")) spoil(0x240 + 4);
  if (spoils("id_signature")) spoil(0x40);
  if (spoils("author_key")) spoil(0x880);
  if (spoils("author_signature")) spoil(0x680);
  const Hpa block_page = *memory.alloc_page();
  const Hpa by_page = spoils("id_address") ? Hpa{0x9000'0000} : *memory.alloc_page();
  EXPECT_TRUE(memory.write(block_page, block));
  EXPECT_EQ(memory.write(by_page, by).has_value(), !spoils("id_address"));
  Writer out;
  out.le(raw(gctx)).le(raw(block_page)).le(raw(by_page));
  return out.le(std::uint64_t{spoils("reserved") ? 8U : 7U}).zeros(32).take();
}

TEST_P(RowTest, IsRefusedWithItsStatusAndReason) {
  const bool of_guest = row().number >= kSnpDecommission && row().number <= kSnpLaunchFinish;
  Bytes buffer = of_guest ? guest_buffer() : platform_buffer();
  ASSERT_EQ(buffer.size(), row().length);
  if (spoils("guest")) std::ranges::copy(bytes_of(raw(firmware)), buffer.begin());
  const bool has_context = of_guest && row().number != kSnpLaunchStart;
  if (spoils("reserved") && has_context) buffer.front() |= std::byte{1};
  if (spoils("snp")) {
    psp.remove_guest(gctx);
    psp.dirty_asids().clear();
    ASSERT_TRUE(memory.write(buffer_page, Writer().le(8U).le(0U).take()));
    ASSERT_EQ(psp.command(kSnpShutdownEx, buffer_page), Status::kSuccess);
  }
  const std::size_t before = trace.events().size();
  const Status status = run(row().number, buffer);
  const Check* check = GetParam().check;
  EXPECT_EQ(status_name(status), check == nullptr ? "SEV_RET_SUCCESS" : status_name(check->status));
  ASSERT_GT(trace.events().size(), before);
  if (check != nullptr) {
    EXPECT_EQ(trace.events().at(before).why, check->why);
  }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}", info.param.row->name,
                     info.param.check == nullptr ? "good" : info.param.check->id);
}
INSTANTIATE_TEST_SUITE_P(Sev, RowTest, testing::ValuesIn(cases()), name_of);

TEST(Rows, AreByNumberEachOnceWithReasonAndSource) {
  std::map<std::uint16_t, const Row*> seen;
  std::uint16_t last = 0;
  for (const Row* row : rows()) {
    EXPECT_GT(row->number, last) << row->name;
    last = row->number;
    EXPECT_TRUE(seen.emplace(row->number, row).second) << row->name;
    EXPECT_FALSE(row->source.empty() || row->effect.empty()) << row->name;
    for (const Check& check : row->checks)
      EXPECT_FALSE(check.why.empty() || check.source.empty() || check.status == Status::kSuccess)
          << row->name << " " << check.id;
  }
}

}  // namespace
}  // namespace teeio::sev
