#include "firmware/sev/launch.h"

#include <gtest/gtest.h>

#include <string>

namespace teeio::sev {
namespace {

constexpr Asid kAsid = 5;
constexpr std::uint64_t kPolicy = kPolicyMustBeOne;

std::string hex(ByteView bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += kDigits[std::to_integer<unsigned>(b) >> 4U];
    text += kDigits[std::to_integer<unsigned>(b) & 15U];
  }
  return text;
}

class LaunchTest : public testing::Test {
 protected:
  LaunchTest() { init(); }

  Status run(std::uint16_t number, Bytes buffer) {
    EXPECT_TRUE(memory.write(buffer_page, buffer));
    return psp.command(number, buffer_page);
  }
  void init() {
    ASSERT_EQ(run(kSnpInitEx, Writer().le(kInitRmp).zeros(60).take()), Status::kSuccess);
  }
  Status run_on(Platform& other, std::uint16_t number, const Bytes& buffer) {
    EXPECT_TRUE(memory.write(buffer_page, buffer));
    return other.command(number, buffer_page);
  }
  Status of_page(std::uint16_t number, Hpa page) {
    return run(number, Writer().le(raw(page)).take());
  }
  Hpa page(const RmpUpdate& update) {
    const Hpa made = *memory.alloc_page();
    EXPECT_EQ(rmp.update(made, update), RmpStatus::kSuccess);
    return made;
  }
  Hpa firmware_page() { return page({.assigned = true, .immutable = true}); }
  Hpa guest_page(Gpa gpa, Asid asid = kAsid) {
    return page({.assigned = true, .immutable = true, .asid = asid, .gpa = gpa});
  }
  Status start(Hpa gctx, std::uint64_t policy = kPolicy, std::uint32_t flags = 0) {
    return run(kSnpLaunchStart,
               Writer().le(raw(gctx)).le(policy).le(std::uint64_t{0}).le(flags).zeros(20).take());
  }
  Status activate(Hpa gctx, Asid asid = kAsid) {
    return run(kSnpActivate, Writer().le(raw(gctx)).le(asid).take());
  }
  Status update(Hpa gctx, Hpa at, LaunchPage type, std::uint32_t more_flags = 0) {
    const std::uint32_t flags = std::uint32_t{std::to_underlying(type)} << 1U | more_flags;
    return run(kSnpLaunchUpdate,
               Writer().le(raw(gctx)).le(flags).le(0U).le(raw(at)).le(0U).le(0U).take());
  }
  Status finish(Hpa gctx, std::uint64_t flags = 0) {
    return run(kSnpLaunchFinish, Writer().le(raw(gctx)).zeros(16).le(flags).zeros(32).take());
  }
  /// A guest in launch, with its ASID.
  Hpa launched(Asid asid = kAsid) {
    const Hpa gctx = firmware_page();
    EXPECT_EQ(of_page(kSnpGctxCreate, gctx), Status::kSuccess);
    EXPECT_EQ(start(gctx), Status::kSuccess);
    EXPECT_EQ(activate(gctx, asid), Status::kSuccess);
    return gctx;
  }
  void write_all(Hpa at, unsigned char value, Asid asid = kAsid) {
    const Bytes bytes(kPageSize, std::byte{value});
    ASSERT_TRUE(memory.write(at, bytes, hw::KeyId{static_cast<std::uint16_t>(asid)}));
  }

  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  IoGuard guard{trace};
  Platform psp{memory, trace, rmp, {}};
  Launch launch{psp, guard};
  Hpa buffer_page = *memory.alloc_page();
};

TEST_F(LaunchTest, TheDigestIsThatOfThePagesInTheirOrder) {
  const Hpa gctx = launched();
  const Hpa normal = guest_page(Gpa{0x1000});
  write_all(normal, 0x5a);
  ASSERT_EQ(update(gctx, normal, LaunchPage::kNormal), Status::kSuccess);
  EXPECT_EQ(hex(psp.guest(gctx)->digest),
            "c4e3cff02f1440782e3735c3e33d8935dd688d575bd26203774063393edae6a2"
            "43ed2d5e20d17ffdfb3be29801f2fc56");
  const Hpa zero = guest_page(Gpa{0x2000});
  write_all(zero, 0x77);
  ASSERT_EQ(update(gctx, zero, LaunchPage::kZero), Status::kSuccess);
  ASSERT_EQ(update(gctx, guest_page(Gpa{0x3000}), LaunchPage::kSecrets), Status::kSuccess);
  EXPECT_EQ(hex(psp.guest(gctx)->digest),
            "be0364c77f4135b3b0b86e1bf1cfa39b02e29fc42107867dfeb96519d8befff4"
            "bf81e4b54f5210846e34013906e44ea9");
  EXPECT_EQ(*memory.read_u64(zero, hw::KeyId{kAsid}), 0U);
  EXPECT_EQ(rmp.state(normal), PageState::kGuestValid);
  EXPECT_FALSE(rmp.check_guest(kAsid, Gpa{0x1000}, normal, RmpAccess::kWrite));
}

TEST_F(LaunchTest, TheSecretsPageHasTheGuestsKeys) {
  const Hpa gctx = launched();
  const Hpa secrets = guest_page(Gpa{0x3000});
  ASSERT_EQ(update(gctx, secrets, LaunchPage::kSecrets), Status::kSuccess);
  std::array<std::byte, 32> key{};
  ASSERT_TRUE(memory.read(secrets + kSecretsKeys, key, hw::KeyId{kAsid}));
  EXPECT_EQ(key, psp.guest(gctx)->message_keys[0]);
  EXPECT_NE(key, (std::array<std::byte, 32>{}));
  EXPECT_FALSE(memory.read(secrets, key)) << "the host does not see it";
}

TEST_F(LaunchTest, ASaveAreaIsNobodysToWrite) {
  const Hpa gctx = launched();
  const Hpa vmsa = guest_page(Gpa{0xffff'ffff'f000});
  ASSERT_EQ(update(gctx, vmsa, LaunchPage::kVmsa), Status::kSuccess);
  EXPECT_TRUE(rmp.entry(vmsa).vmsa);
  EXPECT_EQ(rmp.check_guest(kAsid, Gpa{0xffff'ffff'f000}, vmsa, RmpAccess::kWrite),
            RmpFault::kVmsa);
}

TEST_F(LaunchTest, NothingGoesBeforeItsTurn) {
  const Hpa gctx = firmware_page();
  EXPECT_EQ(start(gctx), Status::kInvalidGuest);
  EXPECT_EQ(of_page(kSnpGctxCreate, gctx + 8), Status::kInvalidParam);
  EXPECT_EQ(of_page(kSnpGctxCreate, Hpa{0x1000}), Status::kInvalidAddress);
  EXPECT_EQ(of_page(kSnpGctxCreate, *memory.alloc_page()), Status::kInvalidPageState);
  ASSERT_EQ(of_page(kSnpGctxCreate, gctx), Status::kSuccess);
  EXPECT_EQ(of_page(kSnpGctxCreate, gctx), Status::kInvalidPageState) << "a context page now";
  EXPECT_EQ(activate(gctx), Status::kInvalidGuestState);
  EXPECT_EQ(finish(gctx), Status::kInvalidGuestState);
  ASSERT_EQ(start(gctx), Status::kSuccess);
  EXPECT_EQ(start(gctx), Status::kInvalidGuestState);
  const Hpa early = guest_page(Gpa{0});
  EXPECT_EQ(update(gctx, early, LaunchPage::kNormal), Status::kInactive);
  EXPECT_EQ(finish(gctx), Status::kInactive);
  EXPECT_EQ(activate(gctx), Status::kInvalidConfig) << "a page has the ASID already";
  ASSERT_EQ(of_page(kSnpPageReclaim, early), Status::kSuccess);
  EXPECT_EQ(rmp.state(early), PageState::kGuestInvalid) << "reclaimed, and the guest's still";
  ASSERT_EQ(rmp.update(early, {}), RmpStatus::kSuccess);
  ASSERT_EQ(activate(gctx), Status::kSuccess);
  EXPECT_EQ(activate(gctx), Status::kAsidOwned) << "by itself";
  EXPECT_EQ(activate(gctx, kAsid + 1), Status::kActive);
  ASSERT_EQ(finish(gctx), Status::kSuccess);
  EXPECT_EQ(update(gctx, guest_page(Gpa{0}), LaunchPage::kNormal), Status::kInvalidGuestState);
  EXPECT_EQ(finish(gctx), Status::kInvalidGuestState);
}

TEST_F(LaunchTest, WithoutSnpNothingGoes) {
  Platform other{memory, trace, rmp, {}};
  Launch commands{other, guard};
  ASSERT_TRUE(memory.write(buffer_page, Bytes(64)));
  for (const std::uint16_t number :
       {kSnpDecommission, kSnpActivate, kSnpGctxCreate, kSnpLaunchStart, kSnpLaunchUpdate,
        kSnpLaunchFinish, kSnpGuestStatus})
    EXPECT_EQ(other.command(number, buffer_page), Status::kInvalidPlatformState) << number;
  for (const std::uint16_t number : {kSnpDfFlush, kSnpCommit})
    EXPECT_EQ(run_on(other, number, Writer().le(4U).take()), Status::kSuccess)
        << "in any state: " << number;
}

TEST_F(LaunchTest, ThePolicyIsLookedAt) {
  const Hpa gctx = firmware_page();
  ASSERT_EQ(of_page(kSnpGctxCreate, gctx), Status::kSuccess);
  EXPECT_EQ(start(gctx, 0), Status::kPolicyFailure);
  EXPECT_EQ(start(gctx, kPolicy | (kAbiVersion + 1U)), Status::kPolicyFailure);
  EXPECT_EQ(start(gctx, kPolicy, 1), Status::kInvalidGuest) << "an agent at 0";
  EXPECT_EQ(start(gctx, kPolicy, 2), Status::kUnsupported);
  EXPECT_EQ(start(gctx, kPolicy, 4), Status::kInvalidParam);
  EXPECT_EQ(start(gctx, kPolicy | 1U << 21U), Status::kPolicyFailure) << "no CXL here";
  EXPECT_EQ(start(gctx, kPolicy | kAbiVersion | kPolicyDebug), Status::kSuccess);
}

// snp_mcmd_launch_start(): an agent that the policy allows, without an agent of its own, and as
// bound to its socket as the guest.
TEST_F(LaunchTest, AMigrationAgentMayBeNamed) {
  const Hpa agent = launched();
  const auto start_with = [&](std::uint64_t policy) {
    const Hpa gctx = firmware_page();
    EXPECT_EQ(of_page(kSnpGctxCreate, gctx), Status::kSuccess);
    const Status status = run(
        kSnpLaunchStart, Writer().le(raw(gctx)).le(policy).le(raw(agent)).le(1U).zeros(20).take());
    return std::pair(status, gctx);
  };
  EXPECT_EQ(start_with(kPolicy).first, Status::kPolicyFailure);
  constexpr std::uint64_t kAllowed = kPolicy | kPolicyMigrationAgent;
  EXPECT_EQ(start_with(kAllowed | kPolicySingleSocket).first, Status::kPolicyFailure);
  const auto [status, gctx] = start_with(kAllowed);
  ASSERT_EQ(status, Status::kSuccess);
  EXPECT_EQ(psp.guest(gctx)->agent_report_id, psp.guest(agent)->report_id);
  psp.guest(agent)->agent_report_id.emplace();
  EXPECT_EQ(start_with(kAllowed).first, Status::kPolicyFailure) << "has one itself";
  const Hpa alone = firmware_page();
  ASSERT_EQ(of_page(kSnpGctxCreate, alone), Status::kSuccess);
  EXPECT_EQ(start(alone, kAllowed), Status::kSuccess) << "nobody has to be named";
}

TEST_F(LaunchTest, APageMustBeTheGuestsAndUntouched) {
  const Hpa gctx = launched();
  EXPECT_EQ(update(gctx, *memory.alloc_page(), LaunchPage::kNormal), Status::kInvalidPageState);
  EXPECT_EQ(update(gctx, Hpa{0x1000}, LaunchPage::kNormal), Status::kInvalidPageState);
  EXPECT_EQ(update(gctx, guest_page(Gpa{0}, kAsid + 1), LaunchPage::kNormal),
            Status::kInvalidPageOwner);
  const Hpa mutable_page = page({.assigned = true, .asid = kAsid, .gpa = Gpa{0x1000}});
  EXPECT_EQ(update(gctx, mutable_page, LaunchPage::kNormal), Status::kInvalidPageState);
  const Hpa good = guest_page(Gpa{0x2000});
  EXPECT_EQ(update(gctx, good, LaunchPage{0}), Status::kInvalidParam);
  EXPECT_EQ(update(gctx, good, LaunchPage{7}), Status::kInvalidParam);
  EXPECT_EQ(update(gctx, good, LaunchPage::kNormal, 0x10), Status::kUnsupported) << "IMI";
  EXPECT_EQ(update(gctx, good, LaunchPage::kNormal, 1), Status::kInvalidPageSize);
  ASSERT_EQ(update(gctx, good, LaunchPage::kNormal), Status::kSuccess);
  EXPECT_EQ(update(gctx, good, LaunchPage::kNormal), Status::kInvalidPageState) << "twice";
}

TEST_F(LaunchTest, ACpuidPageHasRoomFor64Functions) {
  const Hpa gctx = launched();
  const Hpa cpuid = guest_page(Gpa{0x1000});
  ASSERT_TRUE(memory.write_u64(cpuid, 64, hw::KeyId{kAsid}));
  EXPECT_EQ(update(gctx, cpuid, LaunchPage::kCpuid), Status::kSuccess);
}

TEST_F(LaunchTest, ACpuidPageHasReservedFields) {
  const Hpa gctx = launched();
  const Hpa cpuid = guest_page(Gpa{0x1000});
  ASSERT_TRUE(memory.write_u64(cpuid + 8, 1, hw::KeyId{kAsid}));
  EXPECT_EQ(update(gctx, cpuid, LaunchPage::kCpuid), Status::kInvalidParam);
}

TEST_F(LaunchTest, ACpuidPageThatCountsTooManyIsRefusedAndStaysReclaimable) {
  const Hpa gctx = launched();
  const Hpa cpuid = guest_page(Gpa{0x1000});
  ASSERT_TRUE(memory.write_u64(cpuid, 65, hw::KeyId{kAsid}));
  EXPECT_EQ(update(gctx, cpuid, LaunchPage::kCpuid), Status::kInvalidParam);
  EXPECT_EQ(of_page(kSnpPageReclaim, cpuid), Status::kSuccess);
  EXPECT_EQ(rmp.update(cpuid, {}), RmpStatus::kSuccess);
}

TEST_F(LaunchTest, AnAsidIsOneGuestsUntilItIsFlushed) {
  const Hpa first = launched();
  const Hpa second = firmware_page();
  ASSERT_EQ(of_page(kSnpGctxCreate, second), Status::kSuccess);
  ASSERT_EQ(start(second), Status::kSuccess);
  EXPECT_EQ(activate(second, 0), Status::kInvalidAsid);
  EXPECT_EQ(activate(second, Rmp::kMaxAsid + 1), Status::kInvalidAsid);
  EXPECT_EQ(activate(second), Status::kAsidOwned);
  ASSERT_EQ(finish(first), Status::kSuccess);
  ASSERT_EQ(of_page(kSnpDecommission, first), Status::kSuccess);
  EXPECT_EQ(rmp.state(first), PageState::kFirmware);
  EXPECT_EQ(activate(second), Status::kDfFlushRequired);
  EXPECT_TRUE(psp.dirty_asids().contains(kAsid));
  EXPECT_EQ(run(kSnpShutdownEx, Writer().le(8U).le(0U).take()), Status::kDfFlushRequired);
  ASSERT_EQ(run(kSnpDfFlush, {}), Status::kSuccess);
  EXPECT_EQ(activate(second), Status::kSuccess);
}

// ASPFW, snp_decommission_common(): CCXs that were only allocated are clean at once.
TEST_F(LaunchTest, AnAsidThatNoLaunchEndedWithNeedsNoFlush) {
  const Hpa first = launched();
  ASSERT_EQ(of_page(kSnpDecommission, first), Status::kSuccess);
  EXPECT_TRUE(psp.dirty_asids().empty());
  (void)launched();
}

TEST_F(LaunchTest, TheSecretsPageHasTheHostsWorkarounds) {
  const Hpa gctx = firmware_page();
  ASSERT_EQ(of_page(kSnpGctxCreate, gctx), Status::kSuccess);
  const Bytes workarounds(16, std::byte{0x77});
  ASSERT_EQ(
      run(kSnpLaunchStart, Writer().le(raw(gctx)).le(kPolicy).zeros(16).bytes(workarounds).take()),
      Status::kSuccess);
  ASSERT_EQ(activate(gctx), Status::kSuccess);
  const Hpa secrets = guest_page(Gpa{0x3000});
  ASSERT_EQ(update(gctx, secrets, LaunchPage::kSecrets), Status::kSuccess);
  Bytes seen(16);
  ASSERT_TRUE(memory.read(secrets + 0x10, seen, hw::KeyId{kAsid}));
  EXPECT_EQ(seen, workarounds);
}

TEST_F(LaunchTest, BoundTdisKeepTheContext) {
  const Hpa gctx = launched();
  psp.guest(gctx)->bound_tdis = 1;
  EXPECT_EQ(of_page(kSnpDecommission, gctx), Status::kInUse);
  psp.guest(gctx)->bound_tdis = 0;
  guard.open(0, kAsid);
  EXPECT_EQ(of_page(kSnpDecommission, gctx), Status::kSuccess);
  EXPECT_EQ(guard.fence(0, kAsid), Fence::kDefault);
  EXPECT_EQ(of_page(kSnpDecommission, gctx), Status::kInvalidGuest);
}

TEST_F(LaunchTest, AnEndHasNoOtherFlags) {
  const Hpa gctx = launched();
  EXPECT_EQ(finish(gctx, 8), Status::kInvalidParam);
  EXPECT_EQ(finish(gctx, 4), Status::kSuccess) << "no VCEK";
}

// "Status page will be transitioned to Reclaim state upon success": Linux sev-dev.c,
// sev_ioctl_do_snp_platform_status().
TEST_F(LaunchTest, StatusGoesIntoAFirmwarePage) {
  const Hpa gctx = launched();
  ASSERT_EQ(of_page(kSnpGctxCreate, firmware_page()), Status::kSuccess) << "not counted yet";
  const Hpa out = firmware_page();
  ASSERT_EQ(of_page(kSnpPlatformStatus, out), Status::kSuccess);
  EXPECT_EQ(rmp.state(out), PageState::kReclaim);
  ASSERT_EQ(of_page(kSnpPageReclaim, out), Status::kSuccess);
  ASSERT_EQ(rmp.update(out, {}), RmpStatus::kSuccess);
  Bytes platform(32);
  ASSERT_TRUE(memory.read(out, platform)) << "and the host reads it";
  Reader status(platform);
  EXPECT_EQ(status.le<std::uint8_t>(), 1U);
  EXPECT_EQ(status.le<std::uint8_t>(), 0x37U);
  EXPECT_EQ(status.le<std::uint8_t>(), 1U) << "INIT";
  status.skip(5);
  EXPECT_EQ(status.le<std::uint32_t>(), 8U) << "SNP_FEATURE_INFO is there";
  EXPECT_EQ(status.le<std::uint32_t>(), 1U) << "guests";
  EXPECT_EQ(status.le<std::uint64_t>(), Chip::kCurrent.encode());
  const Hpa page_of_guest = firmware_page();
  ASSERT_EQ(run(kSnpGuestStatus, Writer().le(raw(gctx)).le(raw(page_of_guest)).take()),
            Status::kSuccess);
  const Bytes answer = *psp.read_page(page_of_guest, 32);
  Reader guest(answer);
  EXPECT_EQ(guest.le<std::uint64_t>(), kPolicy);
  EXPECT_EQ(guest.le<std::uint32_t>(), kAsid);
  EXPECT_EQ(guest.le<std::uint8_t>(), 1U) << "in launch";
  ASSERT_EQ(finish(gctx, 4), Status::kSuccess);
  ASSERT_EQ(run(kSnpGuestStatus, Writer().le(raw(gctx)).le(raw(page_of_guest)).take()),
            Status::kSuccess);
  const Bytes later = *psp.read_page(page_of_guest, 32);
  EXPECT_EQ(Reader(ByteView(later).subspan(16)).le<std::uint32_t>(), 1U) << "VCEK_DIS";
}

}  // namespace
}  // namespace teeio::sev
