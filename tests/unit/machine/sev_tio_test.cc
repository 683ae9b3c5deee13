// AMD SEV-TIO on a whole machine: the driver's order, what a guest may ask, and endings.

#include <set>

#include "explore/scenario/vendor.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/tio_messages.h"
#include "schedule/task.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

using explore::kSnpVm;

constexpr std::uint32_t kSev = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV;
constexpr Bdf kFunction{0, 1, 0, 0};

class SevTio : public testing::Test {
 protected:
  void SetUp() override {
    Program admin(*machine, 2);
    ASSERT_TRUE(connect(admin).has_value());
  }
  void bind(Vmm& vmm) {
    ASSERT_TRUE(vmm.prepare(kPf, kSnpVm).has_value());
    ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
    EXPECT_EQ(state(), "CONFIG_LOCKED");
  }
  void run(Vmm& vmm) {
    bind(vmm);
    ASSERT_TRUE(vmm.request(abi::TSM_REQ_SET_TDI_STATE, kSev, abi::TSM_TDI_RUN).has_value());
    EXPECT_EQ(state(), "RUN");
  }
  std::string state() { return machine->census()["TDI state of 0000:01:00.0"]; }
  /// The firmware's calls since `first`, in order, each once however often it was issued.
  std::vector<std::string> calls(std::size_t first) {
    std::vector<std::string> found;
    const auto& events = machine->trace().events();
    for (std::size_t n = first; n < events.size(); ++n)
      if (events[n].fact == object::Fact::kNone && events[n].name.starts_with("TIO_") &&
          (found.empty() || found.back() != events[n].name))
        found.emplace_back(events[n].name);
    return found;
  }
  std::size_t mark() { return machine->trace().events().size(); }

  std::unique_ptr<Machine> machine = make_machine("amd-sev");
  std::map<std::string, std::string> at_boot = machine->census();
};

TEST_F(SevTio, EverythingIsAsAtBootWhenAllIsOver) {
  {
    Vmm vmm(*machine);
    run(vmm);
    ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
    EXPECT_EQ(state(), "CONFIG_UNLOCKED");
  }
  {
    Vmm vmm(*machine);
    run(vmm);  // and closed while it runs
  }
  machine->shut_down();
  for (const auto& [key, value] : at_boot) EXPECT_EQ(machine->census()[key], value) << key;
}

// Their port numbers, by which the firmware knows them, are not their device's.
TEST(SevTioPorts, TwoOfOneDeviceAreToldApart) {
  std::string text(builtin_machine("amd-sev"));
  const auto replace = [&text](std::string_view from, std::string_view to) {
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
  };
  replace("bdf = \"0000:00:02.0\"", "bdf = \"0000:00:01.1\"");
  replace("model = \"plain\"",
          "serial = 2\nide_streams = 2\nspdm = \"session\"\nmodel = \"dma-engine\"");
  const auto config = parse_config(text, "two");
  ASSERT_TRUE(config.has_value()) << config.error();
  const auto machine = *Machine::create(*config);
  Program admin(*machine, 2);
  const std::string bus = "/sys/devices/pci0000:00/";
  for (const std::string_view card : {"0000:00:01.0/0000:01:00.0", "0000:00:01.1/0000:02:00.0"})
    EXPECT_TRUE(admin.echo("tsm0\n", bus + std::string(card) + "/tsm/connect").has_value()) << card;
}

TEST_F(SevTio, BindAndUnbindHaveThePublicOrder) {
  Vmm vmm(*machine);
  std::size_t from = mark();
  bind(vmm);
  EXPECT_EQ(calls(from),
            (std::vector<std::string>{"TIO_TDI_CREATE", "TIO_TDI_BIND", "TIO_TDI_STATUS"}));
  from = mark();
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
  EXPECT_EQ(calls(from), (std::vector<std::string>{"TIO_TDI_UNBIND", "TIO_TDI_STATUS",
                                                   "TIO_TDI_RECLAIM", "TIO_ASID_FENCE_STATUS"}));
}

TEST_F(SevTio, OnlyAnSnpGuestIsBound) {
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.prepare(kPf, kOrdinaryVm).has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND)), Errno::kNoSys);
}

TEST_F(SevTio, StateRequestsAreRunAndUnbind) {
  Vmm vmm(*machine);
  bind(vmm);
  const auto ask = [&](std::uint32_t wanted) {
    return vmm.request(abi::TSM_REQ_SET_TDI_STATE, kSev, wanted);
  };
  EXPECT_TRUE(ask(abi::TSM_TDI_LOCKED).has_value()) << "it is";
  EXPECT_TRUE(ask(abi::TSM_TDI_RUN).has_value());
  EXPECT_TRUE(ask(abi::TSM_TDI_RUN).has_value()) << "it does";
  EXPECT_EQ(error_of(ask(7)), Errno::kInval);
  EXPECT_TRUE(ask(abi::TSM_TDI_UNLOCKED).has_value());
  EXPECT_EQ(state(), "CONFIG_UNLOCKED");
  EXPECT_EQ(error_of(ask(abi::TSM_TDI_RUN)), Errno::kFault);
  EXPECT_EQ(error_of(ask(abi::TSM_TDI_LOCKED)), Errno::kFault);
}

TEST_F(SevTio, AGuestsMessagesGoThroughTheHostUnread) {
  Vmm vmm(*machine);
  run(vmm);
  ASSERT_TRUE(explore::vendor_of(TsmKind::kSev).enable_dma(vmm, kFunction).has_value());
  EXPECT_EQ(machine->census()["secure device entries"], "1");
  // The same message once more, and one that nobody has sealed.
  std::uint64_t code = 0;
  EXPECT_EQ(error_of(vmm.request(abi::TSM_REQ_SEV_ENABLE_DMA, kSev, 0, &code)), Errno::kIo);
  EXPECT_EQ(code, 0x16U);
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
  EXPECT_EQ(machine->census()["secure device entries"], "0");
}

TEST_F(SevTio, RequestsThatNameNothingAreEinval) {
  Vmm vmm(*machine);
  bind(vmm);
  const auto words = [](std::uint32_t first, std::uint32_t second) {
    return Writer().le(first).le(second).take();
  };
  EXPECT_EQ(error_of(vmm.send(abi::TSM_REQ_SET_TDI_STATE, kSev, {})), Errno::kInval);
  EXPECT_EQ(error_of(vmm.send(abi::TSM_REQ_READ_OBJECT, kSev, words(99, 0))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.send(abi::TSM_REQ_REGEN_OBJECT, kSev, words(0, 0))), Errno::kInval);
  EXPECT_EQ(state(), "CONFIG_LOCKED") << "nothing happened";
}

TEST_F(SevTio, EachObjectIsReadFromAnyOffset) {
  Vmm vmm(*machine);
  bind(vmm);
  ASSERT_TRUE(vmm.send(abi::TSM_REQ_REGEN_OBJECT, kSev, Bytes(32)).has_value());
  std::set<Bytes> different;
  constexpr std::uint32_t kSkipped = 16;
  for (std::uint32_t object = 0; object < 4; ++object) {
    const auto read = [&](std::uint32_t offset) {
      return *vmm.send(abi::TSM_REQ_READ_OBJECT, kSev, Writer().le(object).le(offset).take());
    };
    const Bytes whole = read(0), rest = read(kSkipped);
    different.insert(whole);
    EXPECT_EQ(Bytes(whole.begin() + kSkipped, whole.begin() + 2 * kSkipped),
              Bytes(rest.begin(), rest.begin() + kSkipped))
        << object;
    EXPECT_NE(whole, Bytes(whole.size())) << object;
  }
  EXPECT_EQ(different.size(), 4U);
}

TEST_F(SevTio, AnUnbindThatFirmwareRefusesIsForced) {
  Vmm vmm(*machine);
  run(vmm);
  const std::size_t from = mark();
  int unbinds = 0;
  schedule::set_chooser([&](std::uint32_t, std::string_view what) {
    return what == "TIO_TDI_UNBIND fails" && unbinds++ == 0 ? 1U : 0U;
  });
  EXPECT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
  schedule::set_chooser({});
  EXPECT_EQ(state(), "CONFIG_UNLOCKED");
  EXPECT_GE(unbinds, 2);
  EXPECT_EQ(calls(from).back(), "TIO_ASID_FENCE_STATUS");
}

TEST_F(SevTio, EveryFailingStepOfBindIsUndone) {
  int refused = 0;
  for (int failing = 0; failing < 64; ++failing) {
    Vmm vmm(*machine);
    ASSERT_TRUE(vmm.prepare(kPf, kSnpVm).has_value());
    int seen = 0;
    schedule::set_chooser([&](std::uint32_t, std::string_view what) {
      return what.starts_with("TIO_") && seen++ == failing ? 1U : 0U;
    });
    const bool bound = vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value();
    schedule::set_chooser({});
    if (seen <= failing) {
      EXPECT_GE(refused, 3) << "TDI_CREATE, TDI_BIND and TDI_STATUS";
      return;
    }
    if (bound) continue;  // in the middle of an exchange: asked again
    ++refused;
    EXPECT_EQ(state(), "CONFIG_UNLOCKED") << failing;
    EXPECT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value()) << failing;
  }
  FAIL() << "bind has no end";
}

}  // namespace
}  // namespace teeio::machine::test
