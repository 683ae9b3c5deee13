#include "snp_machine.h"

// What an SNP guest's own instructions do.

namespace teeio::kvm {
namespace {

using test::Program;
using Field = Ghcb::Field;

constexpr std::uint64_t kGhcbExit = 0x390;

class SnpGuest : public test::SnpMachine {
 protected:
  /// The guest marks what it gives.
  void ghcb(std::uint64_t exit_code, std::uint64_t info1, std::uint64_t info2,
            std::initializer_list<std::pair<Field, std::uint64_t>> more = {}) {
    valid(kGhcbExit, exit_code);
    valid(kGhcbExit + 8, info1);
    valid(kGhcbExit + 16, info2);
    for (const auto& [field, value] : more) valid(std::to_underlying(field), value);
  }
  void valid(std::uint64_t offset, std::uint64_t value) {
    put_shared(raw(kGhcb) + offset, value);
    const std::uint64_t bit = offset / 8;
    program.bytes[raw(kGhcb) + 0x3f0 + bit / 8] |= std::byte(1U << bit % 8);
  }
  std::uint64_t ghcb_field(Field field) {
    return shared_u64(raw(kGhcb) + std::to_underlying(field));
  }
  std::uint64_t msr() { return *cpu().msr(kMsrGhcb); }
  void set_msr(std::uint64_t value) { cpu().set_msr(kMsrGhcb, value); }
  /// The GHCB is registered and in the MSR, as after the guest's own two exits.
  void ready() {
    set_msr(raw(kGhcb) | 0x012);
    EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
    EXPECT_EQ(msr(), raw(kGhcb) | 0x013);
    set_msr(raw(kGhcb));
  }
  /// rep vmmcall; hlt; and again.
  static constexpr std::initializer_list<unsigned char> kCalls = {0xf3, 0x0f, 0x01, 0xd9,
                                                                  0xf4, 0xeb, 0xf9};
};

TEST_F(SnpGuest, RunsFromItsOwnMemory) {
  launch({0xb8, 0x2a, 0x00, 0x00, 0x00, 0xf4});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(cpu().registers().rax, 42U);
}

// mov $0x7000,%eax; xor %ecx,%ecx; mov $1,%edx; pvalidate; setc %bl; pvalidate (rax was set
// anew); setc %bh; mov %rcx,(0x7000); hlt
TEST_F(SnpGuest, PvalidateTakesAPageIntoUse) {
  launch({0xb8, 0x00, 0x70, 0x00, 0x00, 0x31, 0xc9, 0xba, 0x01, 0x00, 0x00, 0x00, 0xf2, 0x0f,
          0x01, 0xff, 0x89, 0xc6, 0x0f, 0x92, 0xc3, 0xb8, 0x00, 0x70, 0x00, 0x00, 0xf2, 0x0f,
          0x01, 0xff, 0x0f, 0x92, 0xc7, 0x48, 0x89, 0x0c, 0x25, 0x00, 0x70, 0x00, 0x00, 0xf4});
  const auto exit = run();
  ASSERT_TRUE(exit) << exit.error().why;
  EXPECT_EQ(exit->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(cpu().registers().rsi, 0U) << "EAX";
  EXPECT_EQ(cpu().registers().rbx & 0xffffU, 0x0100U) << "changed, then not";
  EXPECT_TRUE(entry_of(Gpa{0x7000}).validated);
}

TEST_F(SnpGuest, MemoryThatIsNotValidatedIsNoMemory) {
  launch({0x48, 0x89, 0x0c, 0x25, 0x00, 0x70, 0x00, 0x00, 0xf4});  // mov %rcx,(0x7000)
  const auto exit = run();
  ASSERT_TRUE(exit) << exit.error().why;
  EXPECT_EQ(exit->reason, VcpuExit::Reason::kShutdown) << "a #VC that nothing handles";
  EXPECT_TRUE(entry_of(Gpa{0x7000}).assigned);
}

// Linux arch/x86/kvm/svm/sev.c, sev_handle_rmp_fault().
TEST_F(SnpGuest, ALargeRmpEntryIsSplitWhenTheGuestWantsOnePageOfIt) {
  launch({0xb8, 0x00, 0x70, 0x00, 0x00, 0x31, 0xc9, 0xba, 0x01, 0x00, 0x00, 0x00, 0xf2, 0x0f,
          0x01, 0xff, 0x89, 0xc6, 0x48, 0x89, 0x0c, 0x25, 0x00, 0x70, 0x00, 0x00, 0xf4});
  const Hpa base = make_large_entry(Gpa{0x7000});
  const auto exit = run();
  ASSERT_TRUE(exit) << exit.error().why;
  EXPECT_EQ(exit->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(cpu().registers().rsi, 0U) << "EAX";
  EXPECT_EQ(entry_of(Gpa{0x7000}).size, sev::RmpSize::k4K);
  EXPECT_TRUE(entry_of(Gpa{0x7000}).validated);
  EXPECT_TRUE(rmp.entry(base + (sev::kRmp2M - kPageSize)).assigned);
  EXPECT_FALSE(rmp.entry(base).validated);
  for (std::uint64_t at = 0; at < sev::kRmp2M; at += kPageSize)
    if (base + at != *frame(Gpa{0x7000})) {
      EXPECT_TRUE(psp_host.make_shared(base + at));
    }
}

// mov $0,%eax; mov $1,%ecx; mov $1,%edx; pvalidate; hlt
TEST_F(SnpGuest, PvalidateOf2MiBFindsPagesOf4) {
  launch({0xb8, 0x00, 0x00, 0x00, 0x00, 0xb9, 0x01, 0x00, 0x00, 0x00,
          0xba, 0x01, 0x00, 0x00, 0x00, 0xf2, 0x0f, 0x01, 0xff, 0xf4});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(cpu().registers().rax, 6U) << "FAIL_SIZEMISMATCH";
}

TEST_F(SnpGuest, PvalidateOfSharedMemoryAsksTheVmm) {
  launch({0xb8, 0x00, 0x00, 0x20, 0x00, 0x31, 0xc9, 0xba, 0x01, 0x00, 0x00, 0x00, 0xf2, 0x0f, 0x01,
          0xff, 0xf4});
  const auto exit = run();
  ASSERT_TRUE(exit) << exit.error().why;
  EXPECT_EQ(exit->reason, VcpuExit::Reason::kMemoryFault);
  EXPECT_EQ(exit->gpa, kGhcb);
  EXPECT_TRUE(exit->is_private);
}

// mov $0x5000,%eax; xor %ecx,%ecx; mov %edi,%edx; rmpadjust; hlt
TEST_F(SnpGuest, RmpadjustMakesASaveArea) {
  launch({0xb8, 0x00, 0x10, 0x00, 0x00, 0x31, 0xc9, 0xba, 0x01, 0x00, 0x01, 0x00, 0xf3, 0x0f, 0x01,
          0xfe, 0xf4});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(cpu().registers().rax, 0U);
  EXPECT_TRUE(entry_of(Gpa{0x1000}).vmsa);
}

TEST_F(SnpGuest, HostsInstructionsAreUndefined) {
  launch({0xf3, 0x0f, 0x01, 0xff, 0xf4});  // PSMASH
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kShutdown);
}

TEST_F(SnpGuest, TdcallIsUndefined) {
  launch({0x66, 0x0f, 0x01, 0xcc, 0xf4});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kShutdown);
}

TEST_F(SnpGuest, TheMsrProtocolAnswersBeforeThereIsAGhcb) {
  launch(kCalls);
  EXPECT_EQ(msr(), ghcb_sev_info(2));
  set_msr(0x002);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(msr(), ghcb_sev_info(2));
  set_msr(0x080);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(msr(), 0x81081U) << "SNP and SEV-TIO";
  set_msr(0x010);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(msr() & 0xfffU, 0x011U);
  set_msr(std::uint64_t{2} << 52U | 0x8000 | 0x014);
  const auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 0x8000U);
  EXPECT_EQ(exit->args[1], 1U);
  EXPECT_EQ(exit->args[2], 0U);
  EXPECT_EQ(run({.ret = 1})->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(msr(), std::uint64_t{1} << 32U | 0x015);
  set_msr(0x100);
  const auto end = run();
  EXPECT_EQ(end->reason, VcpuExit::Reason::kVendor);
  EXPECT_EQ(end->number, std::to_underlying(SevExit::kTerminate));
}

TEST_F(SnpGuest, AGhcbThatIsNotRegisteredIsRefused) {
  launch(kCalls);
  set_msr(raw(kGhcb));
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kInternalError);
}

TEST_F(SnpGuest, PortsGoThroughTheGhcb) {
  launch(kCalls);
  ready();
  ghcb(0x7b, std::uint64_t{0x3f8} << 16U | 1U << 4U, 0, {{Field::kRax, 0x1241}});
  auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kIo);
  EXPECT_TRUE(exit->write);
  EXPECT_EQ(exit->port, 0x3f8U);
  EXPECT_EQ(exit->data, 0x41U);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  ghcb(0x7b, std::uint64_t{0x60} << 16U | 1U << 6U | 1U, 0);
  exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kIo);
  EXPECT_FALSE(exit->write);
  EXPECT_EQ(exit->size, 4U);
  EXPECT_EQ(run({.data = 0xabcd})->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kRax), 0xabcdU);
}

TEST_F(SnpGuest, MmioGoesThroughTheBuffer) {
  launch(kCalls);
  ready();
  const std::uint64_t buffer = raw(kGhcb) + Ghcb::kSharedBuffer;
  put_shared(buffer, 0x1122'3344'5566'7788);
  ghcb(0x8000'0002, 0xfeb0'0000, 4, {{Field::kScratch, buffer}});
  auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kMmio);
  EXPECT_EQ(exit->gpa, Gpa{0xfeb0'0000});
  EXPECT_EQ(exit->data, 0x5566'7788U);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  ghcb(0x8000'0001, 0xfeb0'0010, 2, {{Field::kScratch, buffer}});
  exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kMmio);
  EXPECT_EQ(exit->data, 0U) << "a read has no data yet";
  EXPECT_EQ(run({.data = 0xbeef})->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 0xbeefU);
  ghcb(0x8000'0001, 0xfeb0'0010, 4, {{Field::kScratch, raw(kGhcb) + 0xff0}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt) << "beyond the buffer: the guest's error";
  EXPECT_EQ(ghcb_field(Field::kExitInfo1), 2U);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 3U);
}

TEST_F(SnpGuest, NeighboursChangeTheirStateTogether) {
  launch(kCalls);
  ready();
  const std::uint64_t buffer = raw(kGhcb) + Ghcb::kSharedBuffer;
  const auto entry = [](std::uint64_t page, std::uint64_t operation) {
    return page | operation << 52U;
  };
  const auto header = [&](std::uint16_t current, std::uint16_t end) {
    put_shared(buffer, std::uint64_t{end} << 16U | current);
  };
  header(0, 2);
  put_shared(buffer + 8, entry(0x8000, 2));
  put_shared(buffer + 16, entry(0x9000, 2));
  put_shared(buffer + 24, entry(0xb000, 1));
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 0x8000U);
  EXPECT_EQ(exit->args[1], 2U);
  EXPECT_EQ(exit->args[2], 0U) << "shared";
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 2U);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 0xb000U);
  EXPECT_EQ(exit->args[2], 16U) << "KVM_MAP_GPA_RANGE_ENCRYPTED";
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 3U);
  header(0, 253);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), std::uint64_t{1} << 32U | 1) << "VMGEXIT_PSC_ERROR";
}

// snp_begin_psc(): what the guest has done of a large page already is left out.
TEST_F(SnpGuest, ALargePageChangesItsStateAsOne) {
  launch(kCalls);
  ready();
  const std::uint64_t buffer = raw(kGhcb) + Ghcb::kSharedBuffer;
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 56U, kPrivate = std::uint64_t{1} << 52U;
  put_shared(buffer, 0);
  put_shared(buffer + 8, k2M | kLarge | kPrivate | 2);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  const auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], k2M + 2 * kPageSize);
  EXPECT_EQ(exit->args[1], 510U);
  EXPECT_EQ(exit->args[2], 17U) << "KVM_MAP_GPA_RANGE_ENCRYPTED and _PAGE_SZ_2M";
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer), 1U) << "cur_entry";
  EXPECT_EQ(shared_u64(buffer + 8) & 0xfffU, 512U) << "cur_page";
  for (const std::uint64_t bad : {(k2M + kPageSize) | kLarge, k2M | kLarge | 513, k2M | 2}) {
    put_shared(buffer, 0);
    put_shared(buffer + 8, bad | kPrivate);
    ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
    EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
    EXPECT_EQ(ghcb_field(Field::kExitInfo2), std::uint64_t{1} << 32U | 2) << std::hex << bad;
  }
}

// snp_do_psc(): large neighbours are one range, but none with one that is begun with.
TEST_F(SnpGuest, LargeNeighboursChangeTheirStateTogether) {
  launch(kCalls);
  ready();
  const std::uint64_t buffer = raw(kGhcb) + Ghcb::kSharedBuffer + 16;  // anywhere in the GHCB's
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 56U, kPrivate = std::uint64_t{1} << 52U;
  put_shared(buffer, std::uint64_t{3} << 16U);
  put_shared(buffer + 8, k2M | kLarge | kPrivate | 511);
  for (std::uint64_t n = 2; n <= 4; ++n) put_shared(buffer + 8 * n, (n * k2M) | kLarge | kPrivate);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 2 * k2M - kPageSize);
  EXPECT_EQ(exit->args[1], 1U);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 1U) << "cur_entry";
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 2 * k2M);
  EXPECT_EQ(exit->args[1], 3 * 512U);
  EXPECT_EQ(exit->args[2], 17U) << "KVM_MAP_GPA_RANGE_ENCRYPTED and _PAGE_SZ_2M";
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 4U);
  EXPECT_EQ(shared_u64(buffer + 32) & 0xfffU, 512U) << "cur_page";
  put_shared(buffer, std::uint64_t{251} << 16U);  // two fewer have their place here
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), std::uint64_t{1} << 32U | 1) << "INVALID_HDR";
}

// snp_do_psc(): SMASH, UNSMASH and numbers without a meaning count as done.
TEST_F(SnpGuest, OtherStateChangesAreDoneWithoutTheVmm) {
  launch(kCalls);
  ready();
  const std::uint64_t buffer = raw(kGhcb) + Ghcb::kSharedBuffer;
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 56U;
  put_shared(buffer, std::uint64_t{3} << 16U);
  put_shared(buffer + 8, k2M | kLarge | std::uint64_t{3} << 52U);
  put_shared(buffer + 16, (2 * k2M) | kLarge | std::uint64_t{4} << 52U);
  put_shared(buffer + 24, 0x8000 | std::uint64_t{15} << 52U);
  put_shared(buffer + 32, 0x9000 | std::uint64_t{2} << 52U);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  const auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit->args[0], 0x9000U);
  EXPECT_EQ(exit->args[1], 1U);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(shared_u64(buffer) & 0xffffU, 4U) << "cur_entry";
  EXPECT_EQ(shared_u64(buffer + 8) & 0xfffU, 512U);
  EXPECT_EQ(shared_u64(buffer + 24) & 0xfffU, 1U);
  put_shared(buffer, 0);
  put_shared(buffer + 8, 0x8000);  // operation 0
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0U);
  EXPECT_EQ(shared_u64(buffer), 1U) << "cur_entry";
  put_shared(buffer, 0);
  put_shared(buffer + 8, (k2M + kPageSize) | kLarge | 512);
  ghcb(0x8000'0010, 0, 0, {{Field::kScratch, buffer}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), std::uint64_t{1} << 32U | 2)
      << "misaligned, though it says that it is done";
}

// GHCB specification, "SNP Extended Guest Request"; snp_handle_ext_guest_req().
TEST_F(SnpGuest, AnExtendedRequestSaysWhereCertificatesGo) {
  launch(kCalls);
  ready();
  const std::uint64_t request = raw(kGhcb) + 0x1000;
  const std::uint64_t response = raw(kGhcb) + 0x2000;
  program.bytes[request + 0x34] = std::byte{sev::kReportRequest};
  put_shared(raw(kGhcb) + std::to_underlying(Field::kRax), raw(kGhcb) + 0x4000);  // not marked
  ghcb(0x8000'0012, request, response, {{Field::kRbx, 16}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 5U) << "GHCB_ERR_INVALID_INPUT: no RAX";
  put_shared(raw(kGhcb) + 0x3f0, 0), put_shared(raw(kGhcb) + 0x3f8, 0);
  ghcb(0x8000'0012, request, response, {{Field::kRax, raw(kGhcb) + 0x4000}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 5U) << "no RBX";
}

TEST_F(SnpGuest, AnExtendedRequestForAReportBringsCertificates) {
  launch(kCalls);
  ready();
  const std::uint64_t request = raw(kGhcb) + 0x1000;
  const std::uint64_t response = raw(kGhcb) + 0x2000;
  const std::uint64_t data = raw(kGhcb) + 0x4000;
  program.bytes[request + 0x34] = std::byte{sev::kReportRequest};
  ghcb(0x8000'0012, request, response, {{Field::kRax, data}, {Field::kRbx, 0}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), std::uint64_t{1} << 32U) << "too little room";
  const std::uint64_t pages = ghcb_field(Field::kRbx);
  ASSERT_GT(pages, 0U);
  ghcb(0x8000'0012, request, response, {{Field::kRax, data}, {Field::kRbx, pages}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0x16U) << "the firmware's word for an empty message";
  const Bytes table = sev::certificate_table(attestation.endorsement());
  EXPECT_TRUE(std::ranges::equal(table, std::span(program.bytes).subspan(data, table.size())));
  ghcb(0x8000'0012, request, response, {{Field::kRax, data + 8}, {Field::kRbx, pages}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 5U) << "GHCB_ERR_INVALID_INPUT";
  // Another message needs no pages.
  program.bytes[request + 0x34] = std::byte{3};
  ghcb(0x8000'0012, request, response);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0x16U);
}

TEST_F(SnpGuest, WhatIsMissingOrUnknownIsTheGuestsError) {
  launch(kCalls);
  ready();
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo1), 2U);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 4U) << "GHCB_ERR_MISSING_INPUT";
  ghcb(0x72, 0, 0);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 6U) << "GHCB_ERR_INVALID_EVENT";
  ghcb(0x8000'fffd, 0, 0);
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0x81U);
}

TEST_F(SnpGuest, TioRequestsGoToTheVmmAndComeBack) {
  launch(kCalls);
  ready();
  const std::uint64_t request = raw(kGhcb) + 0x1000;
  const std::uint64_t response = raw(kGhcb) + 0x2000;
  program.bytes[request + 0x34] = std::byte{19};  // TDI_INFO
  ghcb(0x8000'0020, request, response,
       {{Field::kRax, 0x20'5000}, {Field::kRbx, 2}, {Field::kRcx, 0x11}, {Field::kRdx, 9}});
  const auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kVendor);
  EXPECT_EQ(exit->number, std::to_underlying(SevExit::kTioGuestRequest));
  const std::uint64_t wanted[6] = {0x11, 1, 0x20'5000, 2, request, response};
  for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(exit->args[i], wanted[i]) << i;
  VcpuCompletion done;
  done.values[0] = 1;     // BIND_LOCKED
  done.values[1] = 3;     // pages
  done.values[2] = 0x3c;  // SEV_RET_INVALID_TDI_STATE
  EXPECT_EQ(run(done)->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kRdx), 1U);
  EXPECT_EQ(ghcb_field(Field::kRbx), 3U);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0x3cU);
  ghcb(0x8000'0020, request, request, {{Field::kRcx, 0x11}});
  EXPECT_EQ(run()->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 5U) << "GHCB_ERR_INVALID_INPUT";
}

TEST_F(SnpGuest, BindIsTheVmmsBusiness) {
  launch(kCalls);
  ready();
  ghcb(0x8000'0021, std::uint64_t{2} << 32U | 0x11, 0);
  const auto exit = run();
  ASSERT_EQ(exit->reason, VcpuExit::Reason::kVendor);
  EXPECT_EQ(exit->number, std::to_underlying(SevExit::kTioOp));
  EXPECT_EQ(exit->args[0], 0x11U);
  EXPECT_EQ(exit->args[1], 2U) << "RUN";
  VcpuCompletion done;
  done.values[0] = 0x77;
  EXPECT_EQ(run(done)->reason, VcpuExit::Reason::kHalt);
  EXPECT_EQ(ghcb_field(Field::kExitInfo2), 0U);
  EXPECT_EQ(ghcb_field(Field::kRcx), 0x77U);
}

}  // namespace
}  // namespace teeio::kvm
