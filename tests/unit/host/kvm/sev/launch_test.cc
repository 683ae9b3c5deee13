#include "snp_machine.h"

namespace teeio::kvm {
namespace {

using sev::LaunchPage;
using sev::PageState;
using test::SnpMachine;

using SnpLaunch = SnpMachine;

template <class T>
Errno code(const Result<T>& result) {
  return result ? Errno{} : result.error().code;
}

TEST_F(SnpLaunch, Init2LooksAtWhatItIsGiven) {
  EXPECT_EQ(code(guest().init2(0, 1, 2, answer)), Errno::kInval) << "a flag";
  EXPECT_EQ(code(guest().init2(1, 0, 2, answer)), Errno::kInval) << "a VMSA feature";
  EXPECT_EQ(code(guest().init2(0, 0, 3, answer)), Errno::kInval) << "a GHCB version";
  EXPECT_FALSE(guest().initialised());
  EXPECT_TRUE(guest().init2(0, 0, 0, answer));
  EXPECT_EQ(code(guest().init2(0, 0, 0, answer)), Errno::kInval);
}

TEST_F(SnpLaunch, AVcpuBeforeInit2IsTooEarly) {
  make_vcpu();
  EXPECT_EQ(code(guest().init2(0, 0, 0, answer)), Errno::kInval);
  EXPECT_EQ(code(run()), Errno::kInval);
}

// __sev_guest_init() gives its ASID back, of which there are few.
TEST_F(SnpLaunch, Init2WithoutMemoryKeepsNothing) {
  for (const std::size_t left : {std::size_t{0}, std::size_t{1}}) {
    std::vector<Hpa> taken;
    while (const auto page = memory.alloc_page()) taken.push_back(*page);
    for (std::size_t i = 0; i < left; ++i) {
      memory.free_page(taken.back());
      taken.pop_back();
    }
    const std::uint64_t before = memory.pages_in_use();
    ASSERT_EQ(code(guest().init2(0, 0, 2, answer)), Errno::kNoMem);
    EXPECT_EQ(memory.pages_in_use(), before);
    EXPECT_FALSE(guest().initialised());
    EXPECT_EQ(answer, 0U) << "SNP_INIT_EX went well";
    for (const Hpa page : taken) memory.free_page(page);
  }
  auto other = *kvm.create_vm(kVmTypeSnp, 1);
  EXPECT_TRUE(guest().init2(0, 0, 2, answer));
  EXPECT_TRUE(static_cast<SevVm&>(static_cast<VmFile&>(*other).vm().ops()).init2(0, 0, 2, answer))
      << "there are two ASIDs";
}

// sev_gmem_invalidate() gives RAM back, when the guest_memfd lets go of it; MMIO has none.
TEST_F(SnpLaunch, RamThatIsUnmappedStaysTheGuests) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  ASSERT_TRUE(load(kCode, {}));
  const Hpa page = *frame(kCode);
  ASSERT_TRUE(guest().map_private(kCode, page, PageKind::kRam));
  ASSERT_TRUE(guest().lookup_private(kCode));
  ASSERT_TRUE(guest().remove_private(kCode, PageKind::kRam));
  EXPECT_FALSE(guest().lookup_private(kCode));
  EXPECT_TRUE(rmp.entry(page).assigned);
  const Gpa bar{0x10'0000};
  const Hpa mmio = *memory.alloc_page();
  ASSERT_TRUE(guest().map_private(bar, mmio, PageKind::kMmio));
  EXPECT_TRUE(rmp.entry(mmio).assigned);
  ASSERT_TRUE(guest().remove_private(bar, PageKind::kMmio));
  EXPECT_FALSE(rmp.entry(mmio).assigned);
}

TEST_F(SnpLaunch, AVcpuIsToldWhatItIs) {
  ASSERT_TRUE(guest().init2(0, 0, 2, answer));
  make_vcpu();
  EXPECT_EQ(cpu().msr(kMsrSevStatus), kSevStatusSnp);
  EXPECT_EQ(cpu().msr(kMsrGhcb), ghcb_sev_info(2));
}

TEST_F(SnpLaunch, EachStepWaitsForTheOneBefore) {
  const Bytes gosvw(16);
  EXPECT_EQ(code(guest().launch_start(kPolicy, gosvw, 0, answer)), Errno::kNoTty);
  EXPECT_EQ(code(load(kCode, {})), Errno::kInval);
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kNoTty);
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kInval);
  EXPECT_EQ(code(guest().launch_start(kPolicy, gosvw, 1, answer)), Errno::kInval);
  EXPECT_EQ(code(guest().launch_start(kPolicy | 1U << 18U, gosvw, 0, answer)), Errno::kInval);
  EXPECT_EQ(code(guest().launch_start(0, gosvw, 0, answer)), Errno::kInval);
  ASSERT_TRUE(guest().launch_start(kPolicy, gosvw, 0, answer));
  EXPECT_EQ(code(guest().launch_start(kPolicy, gosvw, 0, answer)), Errno::kInval);
  make_vcpu();
  EXPECT_EQ(code(run()), Errno::kInval) << "before LAUNCH_FINISH";
  ASSERT_TRUE(guest().launch_finish({}, answer));
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kInval) << "the vCPU is measured";
  EXPECT_EQ(code(load(kCode, {})), Errno::kIo);
}

TEST_F(SnpLaunch, FirmwareThatRefusesThePolicyLeavesNothing) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  const std::uint64_t before = memory.pages_in_use();
  EXPECT_EQ(code(guest().launch_start(kPolicy | 0xffff, Bytes(16), 0, answer)), Errno::kIo);
  EXPECT_EQ(answer, 7U) << "SEV_RET_POLICY_FAILURE";
  EXPECT_EQ(memory.pages_in_use(), before);
  EXPECT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
}

TEST_F(SnpLaunch, PagesBecomeTheGuestsAndAreMeasured) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  EXPECT_EQ(*load(kCode, Bytes(kPageSize, std::byte{0x5a})), 1U);
  EXPECT_EQ(rmp.state(*frame(kCode)), PageState::kGuestValid);
  EXPECT_EQ(entry_of(kCode).gpa, kCode);
  EXPECT_NE(psp.guest(guest().firmware_handle())->digest, (std::array<std::byte, 48>{}));
  EXPECT_EQ(code(load(kCode, {})), Errno::kIo) << "twice";
  EXPECT_EQ(code(load(Gpa{k2M}, {})), Errno::kIo) << "shared memory";
  EXPECT_EQ(code(load(Gpa{8U << 20U}, {})), Errno::kInval) << "no slot";
}

TEST_F(SnpLaunch, WhatWentWellBeforeAnErrorCounts) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  const auto done = guest().launch_update(
      kCode, 4, LaunchPage::kNormal,
      [](std::uint64_t page, std::span<std::byte>) -> Result<void> {
        if (page == 2) return fail(Errno::kFault, "the source ends");
        return {};
      },
      answer);
  EXPECT_EQ(*done, 2U);
  EXPECT_FALSE(entry_of(kCode + 2 * kPageSize).assigned);
}

TEST_F(SnpLaunch, ARefusedPageIsTheHostsAgain) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  EXPECT_EQ(code(load(kCode, Writer().le(65U).take(), LaunchPage::kCpuid)), Errno::kIo);
  EXPECT_EQ(answer, 0x16U) << "SEV_RET_INVALID_PARAM";
  EXPECT_FALSE(entry_of(kCode).assigned);
  EXPECT_FALSE(vm().dead());
  EXPECT_TRUE(load(kCode, Writer().le(1U).take(), LaunchPage::kCpuid));
}

// KVM keeps no state of its own: the firmware says that the launch is over.
TEST_F(SnpLaunch, AfterItsEndTheFirmwareRefusesWhatKvmDoesNot) {
  constexpr std::uint32_t kInvalidGuestState = 2;
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  ASSERT_TRUE(guest().launch_finish({}, answer));
  EXPECT_EQ(code(load(kCode, Bytes(kPageSize))), Errno::kIo);
  EXPECT_EQ(answer, kInvalidGuestState);
  EXPECT_FALSE(entry_of(kCode).assigned);
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kIo);
  EXPECT_EQ(answer, kInvalidGuestState);
}

TEST_F(SnpLaunch, ARangeWithoutAPageIsAnError) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  const auto source = [](std::uint64_t, std::span<std::byte>) -> Result<void> { return {}; };
  EXPECT_EQ(code(guest().launch_update(kCode, 0, LaunchPage::kNormal, source, answer)), Errno::kIo);
}

// psp_copy_user_blob(): both are copied before the firmware is asked, and gone afterwards.
TEST_F(SnpLaunch, TheFirmwareJudgesAnIdBlock) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  const auto gives = [](std::size_t size) {
    return [size]() -> Result<Bytes> { return Bytes(size); };
  };
  const auto missing = []() -> Result<Bytes> { return fail(Errno::kFault, "not there"); };
  const std::uint64_t before = memory.pages_in_use();
  SevVm::Finish finish{.id_block = true, .read_block = missing, .read_authentication = missing};
  EXPECT_EQ(code(guest().launch_finish(finish, answer)), Errno::kFault);
  finish.read_block = gives(96);
  EXPECT_EQ(code(guest().launch_finish(finish, answer)), Errno::kFault);
  EXPECT_FALSE(answer) << "the firmware was not asked";
  finish.read_authentication = gives(kPageSize);
  EXPECT_EQ(code(guest().launch_finish(finish, answer)), Errno::kIo);
  EXPECT_EQ(answer, 0x7U) << "SEV_RET_POLICY_FAILURE: nothing is measured, so the digest is zero";
  EXPECT_EQ(memory.pages_in_use(), before);
}

// Linux 7.3, sev_es_sync_vmsa(): guest_state_protected, also when the firmware did not end the
// launch. What is measured stays as it is: the owner counts on it.
TEST_F(SnpLaunch, ASaveAreaIsMeasuredOnce) {
  constexpr std::uint32_t kBadMeasurement = 11;
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  make_vcpu();
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  const auto zeros = [](std::size_t size) {
    return [size]() -> Result<Bytes> { return Bytes(size); };
  };
  const SevVm::Finish finish{
      .id_block = true, .read_block = zeros(96), .read_authentication = zeros(kPageSize)};
  EXPECT_EQ(code(guest().launch_finish(finish, answer)), Errno::kIo);
  EXPECT_EQ(answer, kBadMeasurement);
  const auto digest = psp.guest(guest().firmware_handle())->digest;
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kInval);
  EXPECT_FALSE(answer) << "the firmware was not asked";
  EXPECT_EQ(psp.guest(guest().firmware_handle())->digest, digest);
  EXPECT_EQ(code(registers()), Errno::kInval) << "they are the guest's secret";
}

// sev_es_sync_vmsa(): guest_debug, and DR7 beyond DR7_FIXED_1.
TEST_F(SnpLaunch, AVcpuThatIsDebuggedIsNotMeasured) {
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  make_vcpu();
  ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
  const auto debug = [this](const GuestDebug& how, std::uint64_t dr7) {
    const schedule::Lock lock(vcpu->mutex());
    ASSERT_TRUE(vcpu->set_guest_debug(how));
    ASSERT_TRUE(vcpu->x86().set_debug_registers({.dr7 = dr7}));
  };
  debug({.control = 1}, 0x400);
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kInval);
  debug({}, 0x401);
  EXPECT_EQ(code(guest().launch_finish({}, answer)), Errno::kInval);
  debug({}, 0x400);
  EXPECT_TRUE(guest().launch_finish({}, answer));
}

TEST_F(SnpLaunch, RegistersAreTheGuestsSecretFromFinishOn) {
  launch({0xf4});
  EXPECT_EQ(code(registers()), Errno::kInval);
  const schedule::Lock lock(vcpu->mutex());
  EXPECT_EQ(code(vcpu->set_registers({})), Errno::kInval);
}

TEST_F(SnpLaunch, AsidsAreFlushedWhenNoneIsLeft) {
  for (int life = 0; life < 5; ++life) {
    ASSERT_TRUE(guest().init2(0, 0, 0, answer)) << life;
    ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer)) << life;
    close();
    open();
  }
  ASSERT_TRUE(guest().init2(0, 0, 0, answer));
  auto second = *kvm.create_vm(kVmTypeSnp, 1);
  auto third = *kvm.create_vm(kVmTypeSnp, 1);
  const auto snp = [](object::Ref<object::File>& f) -> SevVm& {
    return static_cast<SevVm&>(static_cast<VmFile&>(*f).vm().ops());
  };
  EXPECT_TRUE(snp(second).init2(0, 0, 0, answer));
  EXPECT_EQ(code(snp(third).init2(0, 0, 0, answer)), Errno::kBusy);
}

TEST_F(SnpLaunch, AVmThatEndsLeavesNothingAssigned) {
  const std::uint64_t before = memory.pages_in_use();
  launch({0xf4});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_GT(rmp.assigned(), 4U);
  close();
  EXPECT_EQ(rmp.assigned(), 0U);
  EXPECT_EQ(psp.guest_count(), 0U);
  EXPECT_EQ(memory.pages_in_use(), before);
  open();
}

TEST_F(SnpLaunch, APunchedHoleGivesItsPagesBack) {
  launch({0xf4});
  const Hpa page = *frame(kCode);
  EXPECT_TRUE(rmp.entry(page).assigned);
  ASSERT_TRUE(
      static_cast<Gmem&>(*gmem).fallocate(Gmem::Fallocate::kPunchHole, raw(kCode), kPageSize));
  EXPECT_FALSE(rmp.entry(page).assigned);
}

}  // namespace
}  // namespace teeio::kvm
