// /dev/sev on a whole machine: each command of SEV_ISSUE_CMD with what Linux's sev_ioctl() looks
// at before the firmware is asked, and what comes back.

#include "abi/psp_sev.h"
#include "firmware/sev/chip.h"
#include "firmware/sev/status.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

class SevDevice : public testing::Test {
 protected:
  int open(std::uint32_t flags = O_RDWR) {
    const auto opened = program.open("/dev/sev", flags);
    EXPECT_TRUE(opened.has_value());
    return opened.value_or(-1);
  }
  static constexpr std::uint32_t kUntouched = 0xdead;
  /// The errno, 0 for success. `error` gets the firmware's answer; none: it was not asked.
  int issue(std::uint32_t command, std::uint64_t data) {
    abi::sev_issue_cmd arg{.cmd = command, .data = data, .error = kUntouched};
    const auto done = program.ioctl(fd, SEV_ISSUE_CMD, arg);
    error.reset();
    if (arg.error != kUntouched) error = sev::Status{static_cast<std::uint8_t>(arg.error)};
    return done ? 0 : std::to_underlying(done.error().code);
  }
  template <class T>
  std::uint64_t put(const T& value) {
    const std::uint64_t at = program.memory().map(kPageSize);
    EXPECT_TRUE(program.memory().write(at, bytes_of(value)));
    return at;
  }
  template <class T>
  T get(std::uint64_t at) {
    T value{};
    EXPECT_TRUE(program.memory().read(at, writable_bytes_of(value)));
    return value;
  }
  static int number(Errno code) { return std::to_underlying(code); }

  std::unique_ptr<Machine> machine = make_machine("amd-sev");
  Program program{*machine};
  int fd = open();
  std::optional<sev::Status> error;
};

TEST_F(SevDevice, IsANodeOfItsVendorsMachineAlone) {
  const auto nodes = machine->system_calls().tree();
  const auto node =
      std::ranges::find(nodes, "/dev/sev", [](const auto& each) { return each.path; });
  ASSERT_NE(node, nodes.end());
  EXPECT_EQ(node->type, entry::SystemCalls::Node::Type::kDevice);
  const auto file = program.file(fd);
  EXPECT_EQ(machine->system_calls().stat(**file).rdev, node->stat.rdev);
  std::byte byte{};
  EXPECT_EQ(program.pread(fd, 0, {&byte, 1}).error().code, Errno::kInval);
  EXPECT_EQ(program.ioctl(fd, 0x1234, std::uint64_t{0}).error().code, Errno::kInval);
  const auto other = make_machine();
  EXPECT_EQ(Program(*other).open("/dev/sev").error().code, Errno::kNoEnt);
}

TEST_F(SevDevice, StatusIsThatOfAnSnpPlatformWithoutSev) {
  const std::uint64_t at = put(abi::sev_user_data_snp_status{});
  ASSERT_EQ(issue(abi::SNP_PLATFORM_STATUS, at), 0);
  const auto snp = get<abi::sev_user_data_snp_status>(at);
  EXPECT_EQ(snp.api_major, 1U);
  EXPECT_EQ(snp.api_minor, 55U);
  EXPECT_EQ(snp.state, 1U);
  EXPECT_EQ(snp.is_rmp_initialized, 1U);
  EXPECT_EQ(snp.current_tcb_version, sev::Chip::kCurrent.encode());
  EXPECT_EQ(issue(abi::SNP_PLATFORM_STATUS, 0), number(Errno::kInval));
  ASSERT_EQ(issue(abi::SEV_PLATFORM_STATUS, at), 0);
  const auto status = get<abi::sev_user_data_status>(at);
  EXPECT_EQ(status.api_minor, 55U);
  EXPECT_EQ(status.state, 0U) << "SEV_STATE_UNINIT";
  EXPECT_EQ(issue(abi::SEV_PLATFORM_STATUS, 0), number(Errno::kFault));
}

TEST_F(SevDevice, TheIdSaysHowLongItIsAndIsAlwaysTheSame) {
  const std::uint64_t id = put(std::array<std::byte, 64>{});
  const std::uint64_t at = put(abi::sev_user_data_get_id2{});
  EXPECT_EQ(issue(abi::SEV_GET_ID2, at), number(Errno::kIo));
  EXPECT_EQ(error, sev::Status::kInvalidLength);
  EXPECT_EQ(get<abi::sev_user_data_get_id2>(at).length, 64U);
  const std::uint64_t again = put(abi::sev_user_data_get_id2{.address = id, .length = 64});
  ASSERT_EQ(issue(abi::SEV_GET_ID2, again), 0);
  const auto name = get<std::array<std::byte, 64>>(id);
  EXPECT_NE(name, (std::array<std::byte, 64>{}));
  // kzalloc(): KMALLOC_MAX_SIZE, 4 MiB.
  const auto with_room = [&](std::uint32_t length) {
    return issue(abi::SEV_GET_ID2,
                 put(abi::sev_user_data_get_id2{.address = id, .length = length}));
  };
  EXPECT_EQ(with_room(0x40'0000), 0);
  for (const std::uint32_t large : {0x40'0001U, 0xffff'ffffU}) {
    EXPECT_EQ(with_room(large), number(Errno::kNoMem));
    EXPECT_EQ(error, std::nullopt) << "the firmware is not asked";
  }
  const std::uint64_t both = put(abi::sev_user_data_get_id{});
  ASSERT_EQ(issue(abi::SEV_GET_ID, both), 0);
  EXPECT_EQ((get<std::array<std::byte, 64>>(both)), name);
}

TEST_F(SevDevice, TheReportedTcbVersionIsTheHostsChoice) {
  sev::TcbVersion older = sev::Chip::kCurrent;
  --older.snp;
  abi::sev_user_data_snp_config config{.reported_tcb = older.encode(), .flags = 1, .rsvd1 = {}};
  ASSERT_EQ(issue(abi::SNP_SET_CONFIG, put(config)), 0);
  EXPECT_EQ(error, sev::Status::kSuccess);
  const std::uint64_t at = put(abi::sev_user_data_snp_status{});
  ASSERT_EQ(issue(abi::SNP_PLATFORM_STATUS, at), 0);
  const auto status = get<abi::sev_user_data_snp_status>(at);
  EXPECT_EQ(status.reported_tcb_version, older.encode());
  EXPECT_EQ(status.flags & 1U, 1U) << "mask_chip_id";
  config.flags = 4;
  EXPECT_EQ(issue(abi::SNP_SET_CONFIG, put(config)), number(Errno::kIo));
  EXPECT_EQ(error, sev::Status::kInvalidParam);
  EXPECT_EQ(issue(abi::SNP_SET_CONFIG, 0), number(Errno::kInval));
  EXPECT_EQ(error, std::nullopt);
  EXPECT_EQ(issue(abi::SNP_COMMIT, 0), 0);
}

TEST_F(SevDevice, AVlekIsLookedAtAndRefusedByTheFirmware) {
  abi::sev_user_data_snp_wrapped_vlek_hashstick stick{};
  abi::sev_user_data_snp_vlek_load load{.len = sizeof load,
                                        .vlek_wrapped_version = 0,
                                        .rsvd = {},
                                        .vlek_wrapped_address = put(stick)};
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, put(load)), number(Errno::kIo));
  EXPECT_EQ(error, sev::Status::kBadSvn) << "of another TCB version than the reported one";
  const std::uint64_t reported = sev::Chip::kCurrent.encode();
  std::memcpy(stick.data + 0x190, &reported, sizeof reported);
  load.vlek_wrapped_address = put(stick);
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, put(load)), number(Errno::kIo));
  EXPECT_EQ(error, sev::Status::kBadMeasurement) << "nobody but AMD wraps one";
  load.vlek_wrapped_address = 0;
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, put(load)), number(Errno::kInval));
  load.vlek_wrapped_version = 1;
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, put(load)), number(Errno::kInval));
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, 0), number(Errno::kInval));
}

TEST_F(SevDevice, WhatIsSevsIsRefused) {
  for (const std::uint32_t command :
       {abi::SEV_FACTORY_RESET, abi::SEV_PEK_GEN, abi::SEV_PDH_GEN, abi::SEV_PDH_CERT_EXPORT}) {
    EXPECT_EQ(issue(command, 0), number(Errno::kIo)) << command;
    EXPECT_EQ(error, sev::Status::kInvalidCommand);
  }
  EXPECT_EQ(issue(abi::SEV_PEK_CSR, 0), number(Errno::kFault));
  EXPECT_EQ(
      issue(abi::SEV_PEK_CSR, put(abi::sev_user_data_pek_csr{.address = 1, .length = 0x4001})),
      number(Errno::kFault));
  EXPECT_EQ(issue(abi::SEV_PEK_CSR, put(abi::sev_user_data_pek_csr{})), number(Errno::kIo));
  EXPECT_EQ(issue(abi::SEV_PEK_CERT_IMPORT, put(abi::sev_user_data_pek_cert_import{})),
            number(Errno::kInval));
  EXPECT_EQ(issue(abi::SEV_MAX, 0), number(Errno::kInval));
  EXPECT_EQ(program.ioctl(fd, SEV_ISSUE_CMD, std::uint64_t{0}).error().code, Errno::kFault);
}

TEST_F(SevDevice, AReaderChangesNothing) {
  fd = open(O_RDONLY);
  for (const std::uint32_t command :
       {abi::SEV_FACTORY_RESET, abi::SEV_PEK_GEN, abi::SEV_PEK_CSR, abi::SEV_PDH_GEN,
        abi::SEV_PDH_CERT_EXPORT, abi::SEV_PEK_CERT_IMPORT}) {
    EXPECT_EQ(issue(command, 0), number(Errno::kPerm)) << command;
    EXPECT_EQ(error, std::nullopt);
  }
  const std::uint64_t at = put(abi::sev_user_data_snp_config{});
  EXPECT_EQ(issue(abi::SNP_SET_CONFIG, at), number(Errno::kPerm));
  EXPECT_EQ(issue(abi::SNP_VLEK_LOAD, at), number(Errno::kPerm));
  EXPECT_EQ(issue(abi::SEV_PLATFORM_STATUS, at), 0);
}

}  // namespace
}  // namespace teeio::machine::test
