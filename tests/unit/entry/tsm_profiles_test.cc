// IOMMU_VDEVICE_TSM_REQ as later postings number it, and making a vDEVICE as bind.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>

#include "abi/iommufd.h"
#include "abi/proposed.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using namespace machine::test;  // NOLINT: a fixture of another room
using explore::Vmm;

constexpr std::uint64_t kRealm = 0x100;

class TsmProfile : public testing::Test {
 protected:
  void start(std::string_view machine_name, std::string_view profile) {
    vmm_.reset();
    machine_ =
        make_machine(machine_name, "abi = \"teeio\"", "abi = \"" + std::string(profile) + "\"");
    vmm_ = std::make_unique<Vmm>(*machine_);
    ASSERT_TRUE(connect(*vmm_).has_value());
    const bool is_realm = machine_name == "arm-cca-slice";
    arch_ = is_realm ? abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA : abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX;
    ASSERT_TRUE(vmm_->prepare(kPf, is_realm ? kRealm : explore::kTdxVm).has_value());
  }

  template <class T>
  Result<std::int64_t> request(std::uint32_t command, std::uint32_t op, const T& payload,
                               std::uint32_t room = 0) {
    abi::iommu_vdevice_tsm_req arg{};
    arg.size = sizeof(arg);
    arg.vdevice_id = vmm_->vdevice_id;
    arg.op = op;
    arg.tvm_arch = arch_;
    arg.req_len = sizeof(payload);
    arg.req_uptr = vmm_->store(bytes_of(payload));
    arg.resp_len = room;
    arg.resp_uptr = room == 0 ? 0 : vmm_->memory().map(kPageSize, mm::Access::kReadWrite);
    response_ = arg.resp_uptr;
    arg.tsm_code = ~0ULL;
    auto result = vmm_->ioctl(vmm_->iommufd, command, arg);
    code_ = arg.tsm_code;
    got_ = arg.resp_len;
    return result;
  }
  Result<std::int64_t> v7(std::uint32_t op, std::uint32_t word) {
    return request(IOMMU_VDEVICE_TSM_REQ_V7, op, word);
  }
  [[nodiscard]] std::string bound() const {
    const auto census = machine_->census();
    const auto at = census.find("bound TSM of 0000:01:00.0");
    return at == census.end() ? std::string() : at->second;
  }

  std::unique_ptr<machine::Machine> machine_;
  std::unique_ptr<Vmm> vmm_;
  std::uint32_t arch_ = 0;
  std::uint64_t code_ = 0;
  std::uint32_t got_ = 0;
  std::uint64_t response_ = 0;
};

TEST_F(TsmProfile, V7BindsWithTheVdeviceAndUnbindsWithItsEnd) {
  for (const std::string_view name : {"tdx-connect", "arm-cca-slice"}) {
    start(name, "iommufd-v7");
    EXPECT_EQ(bound(), "tsm0") << name;
    EXPECT_EQ(error_of(vmm_->vfio_bind()), Errno::kNoTty);
    ASSERT_TRUE(vmm_->destroy(vmm_->vdevice_id).has_value());
    EXPECT_EQ(bound(), "") << name;
    ASSERT_TRUE(vmm_->make_vdevice().has_value());
    EXPECT_EQ(bound(), "tsm0") << name;
  }
}

TEST_F(TsmProfile, V7VdeviceThatCannotBeBoundDoesNotExist) {
  machine_ = make_machine("tdx-connect", "abi = \"teeio\"", "abi = \"iommufd-v7\"");
  Vmm vmm(*machine_);  // the card is not connected
  EXPECT_EQ(error_of(vmm.prepare(kPf)), Errno::kInval);
  ASSERT_TRUE(connect(vmm).has_value());
  EXPECT_TRUE(vmm.make_vdevice().has_value());  // neither the device nor the id is taken
}

TEST_F(TsmProfile, V7LocksRunsAndUnlocksByTheGuestsRequest) {
  start("arm-cca-slice", "iommufd-v7");
  EXPECT_TRUE(v7(abi::TSM_REQ_V7_SET_TDI_STATE, abi::TSM_TDI_LOCKED).has_value());
  EXPECT_TRUE(v7(abi::TSM_REQ_V7_SET_TDI_STATE, abi::TSM_TDI_RUN).has_value());
  EXPECT_TRUE(v7(abi::TSM_REQ_V7_SET_TDI_STATE, abi::TSM_TDI_UNLOCKED).has_value());
  EXPECT_EQ(code_, 0U);
  EXPECT_EQ(error_of(v7(abi::TSM_REQ_V7_SET_TDI_STATE, 3)), Errno::kInval);
}

TEST_F(TsmProfile, V7ReadCountsWhatIsLeftOverAndHonoursItsOffset) {
  start("arm-cca-slice", "iommufd-v7");
  ASSERT_TRUE(v7(abi::TSM_REQ_V7_SET_TDI_STATE, abi::TSM_TDI_LOCKED).has_value());
  abi::tsm_req_read_object_v7 read{.object = abi::TSM_OBJECT_V7_REPORT, .reserved = 0, .offset = 0};
  const auto command = IOMMU_VDEVICE_TSM_REQ_V7;
  const auto whole = request(command, abi::TSM_REQ_V7_READ_OBJECT, read, kPageSize);
  ASSERT_TRUE(whole.has_value());
  const std::uint32_t size = got_;
  ASSERT_GT(size, 16U);
  EXPECT_EQ(*whole, static_cast<std::int64_t>(kPageSize - size));
  read.offset = 8;
  const auto part = request(command, abi::TSM_REQ_V7_READ_OBJECT, read, kPageSize);
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(got_, size - 8);
  const auto narrow = request(command, abi::TSM_REQ_V7_READ_OBJECT, read, 4);
  ASSERT_TRUE(narrow.has_value());
  EXPECT_EQ(got_, 4U);
  EXPECT_EQ(*narrow, 0);
  read.reserved = 1;
  EXPECT_EQ(error_of(request(command, abi::TSM_REQ_V7_READ_OBJECT, read, 64)), Errno::kInval);
  read = {.object = 4, .reserved = 0, .offset = 0};
  EXPECT_EQ(error_of(request(command, abi::TSM_REQ_V7_READ_OBJECT, read, 64)), Errno::kInval);
  EXPECT_EQ(error_of(v7(abi::TSM_REQ_V7_READ_OBJECT, 3)), Errno::kInval);  // 4 bytes, not 16
}

TEST_F(TsmProfile, V7HasARealmsObjectsApart) {
  start("arm-cca-slice", "iommufd-v7");
  ASSERT_TRUE(v7(abi::TSM_REQ_V7_SET_TDI_STATE, abi::TSM_TDI_LOCKED).has_value());
  std::set<std::uint32_t> sizes;
  for (const std::uint32_t object :
       {abi::TSM_OBJECT_V7_VCA, abi::TSM_OBJECT_V7_CERTIFICATES, abi::TSM_OBJECT_V7_REPORT}) {
    const abi::tsm_req_read_object_v7 read{.object = object, .reserved = 0, .offset = 0};
    EXPECT_TRUE(
        request(IOMMU_VDEVICE_TSM_REQ_V7, abi::TSM_REQ_V7_READ_OBJECT, read, kPageSize).has_value())
        << object;
    EXPECT_TRUE(sizes.insert(got_).second) << object << " is another one";
  }
}

// What each is: DSP0274 for VCA (GET_VERSION first) and MEASUREMENTS (code 60h), a certificate
// chain has DER in it.
TEST_F(TsmProfile, V7ReadsEachObjectByItselfWithOffsetAndLength) {
  for (const std::string_view name : {"tdx-connect", "arm-cca-slice"}) {
    SCOPED_TRACE(name);
    start(name, "iommufd-v7");
    const std::array<std::byte, 32> nonce{std::byte{7}};
    const abi::tsm_req_regen_object_v7 regen{.object = abi::TSM_OBJECT_V7_MEASUREMENTS,
                                             .reserved = 0,
                                             .flags = 0,
                                             .nonce_uptr = vmm_->store(nonce)};
    const auto command = IOMMU_VDEVICE_TSM_REQ_V7;
    ASSERT_TRUE(request(command, abi::TSM_REQ_V7_REGEN_OBJECT, regen).has_value());
    const auto object = [&](std::uint32_t number) {
      Bytes whole;
      for (;;) {
        const abi::tsm_req_read_object_v7 read{
            .object = number, .reserved = 0, .offset = whole.size()};
        EXPECT_TRUE(request(command, abi::TSM_REQ_V7_READ_OBJECT, read, 100).has_value());
        if (got_ == 0) return whole;
        Bytes part(got_);
        EXPECT_TRUE(vmm_->memory().read(response_, part).has_value());
        whole.insert(whole.end(), part.begin(), part.end());
      }
    };
    const Bytes vca = object(abi::TSM_OBJECT_V7_VCA);
    ASSERT_GT(vca.size(), 100U);
    EXPECT_EQ(vca[1], std::byte{0x84});  // GET_VERSION
    const Bytes measurements = object(abi::TSM_OBJECT_V7_MEASUREMENTS);
    ASSERT_GT(measurements.size(), 100U);
    EXPECT_EQ(measurements[1], std::byte{0xe0});  // GET_MEASUREMENTS, with the nonce
    EXPECT_TRUE(std::ranges::equal(ByteView(measurements).subspan(4, nonce.size()), nonce));
    const Bytes chain = object(abi::TSM_OBJECT_V7_CERTIFICATES);
    EXPECT_FALSE(std::ranges::search(chain, std::array{std::byte{0x30}, std::byte{0x82}}).empty());
  }
}

TEST_F(TsmProfile, V7RegenTakesItsNonceFromMemory) {
  start("tdx-connect", "iommufd-v7");
  const std::array<std::byte, 32> nonce{std::byte{7}};
  abi::tsm_req_regen_object_v7 regen{.object = abi::TSM_OBJECT_V7_MEASUREMENTS,
                                     .reserved = 0,
                                     .flags = 0,
                                     .nonce_uptr = vmm_->store(nonce)};
  const auto command = IOMMU_VDEVICE_TSM_REQ_V7;
  EXPECT_TRUE(request(command, abi::TSM_REQ_V7_REGEN_OBJECT, regen).has_value());
  regen.flags = 1;
  EXPECT_EQ(error_of(request(command, abi::TSM_REQ_V7_REGEN_OBJECT, regen)), Errno::kOpNotSupp);
  regen.flags = 0;
  regen.nonce_uptr = 16;
  EXPECT_EQ(error_of(request(command, abi::TSM_REQ_V7_REGEN_OBJECT, regen)), Errno::kFault);
  regen.object = abi::TSM_OBJECT_V7_REPORT;
  EXPECT_EQ(error_of(request(command, abi::TSM_REQ_V7_REGEN_OBJECT, regen)), Errno::kInval);
}

TEST_F(TsmProfile, V6HasNoObjectsAndOnlyRun) {
  start("tdx-connect", "iommufd-v6");
  EXPECT_EQ(bound(), "");
  ASSERT_TRUE(vmm_->iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  const auto set = [&](std::uint32_t state) {
    return request(IOMMU_VDEVICE_TSM_REQ, abi::TSM_REQ_V7_SET_TDI_STATE, state);
  };
  EXPECT_EQ(error_of(set(abi::TSM_TDI_LOCKED)), Errno::kInval);
  EXPECT_EQ(code_, 0U);  // not what the program left there
  EXPECT_EQ(error_of(request(IOMMU_VDEVICE_TSM_REQ, abi::TSM_REQ_V7_READ_OBJECT, 0U)),
            Errno::kInval);
  EXPECT_EQ(error_of(set(abi::TSM_TDI_RUN)), Errno::kIo);  // the guest has asked for nothing
}

// --- A program of another profile is told so

std::string why_of(const Result<std::int64_t>& result) {
  return result.has_value() ? "it succeeded" : std::string(result.error().why);
}

TEST_F(TsmProfile, RequestOfV7IsNamedUnderTheDefaultProfile) {
  start("tdx-connect", "teeio");
  EXPECT_NE(why_of(v7(abi::TSM_REQ_V7_SET_TDI_STATE, 2)).find("abi = \"iommufd-v7\""),
            std::string::npos);
}

TEST_F(TsmProfile, BindIsNamedUnderV7) {
  start("tdx-connect", "iommufd-v7");
  const auto bind = vmm_->iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND);
  ASSERT_FALSE(bind.has_value());
  EXPECT_NE(bind.error().why.find("iommufd-v7 binds with the vDEVICE"), std::string::npos);
  EXPECT_NE(why_of(request(IOMMU_VDEVICE_TSM_REQ, 1, 0U)).find("abi = \"teeio\""),
            std::string::npos);
}

TEST_F(TsmProfile, ValidateOfV6IsNoReadOfV5) {
  start("arm-cca-slice", "teeio");
  const abi::tsm_req_validate_mmio validate{};
  const auto refused = request(IOMMU_VDEVICE_TSM_REQ, abi::TSM_REQ_V7_VALIDATE_MMIO, validate);
  EXPECT_EQ(error_of(refused), Errno::kInval);
}

TEST(TsmProfileConfig, V7LeavesNoOtherDoorOpen) {
  const std::string text =
      "name = \"x\"\ntsm = \"tdx\"\nabi = \"iommufd-v7\"\n[policies]\nbind_owner = \"vfio\"\n";
  const auto config = machine::parse_config(text, "x.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().find("x.toml:5: key \"bind_owner\""), std::string::npos)
      << config.error();
}

}  // namespace
}  // namespace teeio::entry
