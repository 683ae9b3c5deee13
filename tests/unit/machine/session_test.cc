// The machine on authenticated SPDM sessions: what a run shows of them, the evidence
// that a program can fetch, and cards that firmware does not take.
#include <algorithm>
#include <map>

#include "crypto/hash.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

struct Kind {
  std::string_view machine;
  std::uint64_t vm_type;
  std::uint32_t arch;
};
constexpr Kind kKinds[] = {
    {"tdx-connect", kTdxVm, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX},
    {"arm-cca-slice", 0x100, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA},
};

class SpdmSession : public testing::TestWithParam<Kind> {
 protected:
  bool traced(std::string_view name) {
    const auto& events = machine->trace().events();
    return std::ranges::find(events, name, &object::Event::name) != events.end();
  }
  std::unique_ptr<Machine> machine = make_machine(GetParam().machine);
};

/// IOMMU_VDEVICE_TSM_REQ; the bytes of the answer.
Result<Bytes> ask(Vmm& vmm, std::uint32_t arch, std::uint32_t op, ByteView payload) {
  Bytes answer(4096);
  abi::iommu_vdevice_tsm_req arg{};
  arg.size = sizeof(arg);
  arg.vdevice_id = vmm.vdevice_id;
  arg.op = op;
  arg.tvm_arch = arch;
  arg.req_len = static_cast<std::uint32_t>(payload.size());
  arg.req_uptr = vmm.store(payload);
  arg.resp_len = static_cast<std::uint32_t>(answer.size());
  arg.resp_uptr = vmm.store(answer);
  TEEIO_TRY(vmm.ioctl(vmm.iommufd, IOMMU_VDEVICE_TSM_REQ, arg));
  answer.resize(arg.resp_len);
  TEEIO_TRY(vmm.memory().read(arg.resp_uptr, answer));
  return answer;
}

Result<Bytes> evidence(Vmm& vmm, std::uint32_t arch, ByteView nonce) {
  TEEIO_TRY(ask(vmm, arch, abi::TSM_REQ_REGEN_OBJECT, nonce));
  Bytes whole;
  for (;;) {
    const abi::tsm_req_read_object read{abi::TSM_OBJECT_EVIDENCE,
                                        static_cast<std::uint32_t>(whole.size())};
    TEEIO_ASSIGN(const Bytes part, ask(vmm, arch, abi::TSM_REQ_READ_OBJECT, bytes_of(read)));
    if (part.empty()) return whole;
    whole.insert(whole.end(), part.begin(), part.end());
  }
}

TEST_P(SpdmSession, ConnectAndDisconnectAreShownMessageByMessage) {
  Program admin(*machine, 2);
  ASSERT_TRUE(connect(admin));
  for (const std::string_view name :
       {"GET_VERSION", "GET_CAPABILITIES", "NEGOTIATE_ALGORITHMS", "GET_DIGESTS", "GET_CERTIFICATE",
        "KEY_EXCHANGE", "FINISH", "GET_MEASUREMENTS", "KEY_PROG", "K_SET_GO"})
    EXPECT_TRUE(traced(name)) << name;
  ASSERT_TRUE(disconnect(admin));
  EXPECT_TRUE(traced("K_SET_STOP"));
  EXPECT_TRUE(traced("END_SESSION"));
}

TEST_P(SpdmSession, NoSequenceNumberIsUsedTwiceUnderOneKey) {
  Program admin(*machine, 2);
  ASSERT_TRUE(connect(admin));
  ASSERT_TRUE(disconnect(admin));
  ASSERT_TRUE(connect(admin));
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> used;
  for (const object::Event& event : machine->trace().events())
    if (event.fact == object::Fact::kSequenceUsed) ++used[{event.a, event.b}];
  EXPECT_GT(used.size(), 50U);  // both ends of two sessions
  for (const auto& [key_and_sequence, times] : used) EXPECT_EQ(times, 1);
}

TEST_P(SpdmSession, IsMadeAnewAfterADisconnect) {
  Program admin(*machine, 2);
  const auto census = machine->census();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(connect(admin)) << i;
    ASSERT_TRUE(disconnect(admin)) << i;
  }
  EXPECT_EQ(machine->census(), census);
}

TEST_P(SpdmSession, EvidenceHasTheNonceThatWasAskedFor) {
  Program admin(*machine, 2);
  ASSERT_TRUE(connect(admin));
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.prepare(kPf, GetParam().vm_type));
  ASSERT_TRUE(vmm.vfio_bind());
  const Bytes nonce(32, std::byte{0x3c});
  const auto first = evidence(vmm, GetParam().arch, nonce);
  ASSERT_TRUE(first) << first.error().why;
  ASSERT_GT(first->size(), 48U);
  EXPECT_TRUE(std::ranges::equal(ByteView(*first).subspan(16, 32), nonce));
  EXPECT_NE(*evidence(vmm, GetParam().arch, Bytes(32, std::byte{1})), *first);
  EXPECT_EQ(evidence(vmm, GetParam().arch, Bytes(31)).error().code, Errno::kInval);
  ASSERT_TRUE(vmm.vfio_unbind());
}

TEST_P(SpdmSession, BindDoesNoPublicKeyWork) {
  Program admin(*machine, 2);
  ASSERT_TRUE(connect(admin));
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.prepare(kPf, GetParam().vm_type));
  const std::size_t before = machine->trace().events().size();
  ASSERT_TRUE(vmm.vfio_bind());
  ASSERT_TRUE(vmm.vfio_unbind());
  const auto& events = machine->trace().events();
  for (std::size_t i = before; i < events.size(); ++i)
    for (const std::string_view costly :
         {"GET_CERTIFICATE", "CHALLENGE", "KEY_EXCHANGE", "FINISH", "GET_MEASUREMENTS"})
      EXPECT_NE(events[i].name, costly);
}

TEST_P(SpdmSession, ACardInTheClearIsNotTakenByFirmwareThatWantsSessions) {
  // A second card that speaks in the clear, beside the first one's sessions.
  const auto mixed = make_machine(
      GetParam().machine, "[[card]]\nmodel = \"plain\"",
      "[[card]]\nmodel = \"dma-engine\"\nspdm = \"plain\"\nserial = 5\nide_streams = 1");
  ASSERT_NE(mixed, nullptr);
  Program admin(*mixed, 2);
  const auto refused =
      admin.echo("tsm0", "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/tsm/connect");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errno::kIo) << refused.error().why;
  ASSERT_TRUE(connect(admin));
}

INSTANTIATE_TEST_SUITE_P(Machines, SpdmSession, testing::ValuesIn(kKinds), [](const auto& kind) {
  return kind.param.arch == abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX ? "Tdx" : "Cca";
});

}  // namespace
}  // namespace teeio::machine::test
