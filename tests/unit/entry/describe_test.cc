// What `-v` prints of an ioctl's argument.

#include "entry/describe.h"

#include <gmock/gmock.h>
#include <linux/ioctl.h>

#include <set>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "entry/support.h"
#include "unit/entry/argument_of.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using test::all_rows;
using test::argument_of;

/// Calls whose number says no size (iommufd and VFIO have none) and that take no struct.
const std::set<std::string_view> kTakeNoStruct = {
    "VFIO_GET_API_VERSION", "VFIO_CHECK_EXTENSION",       "VFIO_SET_IOMMU",
    "VFIO_DEVICE_RESET",    "VFIO_GROUP_UNSET_CONTAINER", "VFIO_GROUP_GET_DEVICE_FD"};  // a text

bool takes_struct(const Row& row) {
  if (_IOC_SIZE(row.command) != 0) return true;
  const bool sizeless = row.name.starts_with("IOMMU_") || row.name.starts_with("VFIO_");
  return sizeless && !kTakeNoStruct.contains(row.name);
}

TEST(LayoutTest, EveryCallThatTakesAStructHasOne) {
  for (const Row& row : all_rows())
    EXPECT_TRUE(!takes_struct(row) || row.argument.kind == Argument::Kind::kStruct) << row.name;
}

TEST(LayoutTest, NoFieldLiesOutsideOfTheStructThatTheNumberNames) {
  for (const Row& row : all_rows()) {
    // The number of KVM_MEMORY_ENCRYPT_OP has the size of an unsigned long only.
    if (_IOC_SIZE(row.command) == 0 || row.name == "KVM_MEMORY_ENCRYPT_OP") continue;
    for (const Field& field : row.argument.fields)
      EXPECT_LE(field.offset + field.size, _IOC_SIZE(row.command)) << row.name << field.name;
  }
}

/// What Linux's headers have names for. The requests of 2025's RFC are a vendor's numbers.
TEST(LayoutTest, NoKindIsABareNumber) {
  const std::set<std::string_view> kinds = {"type",      "op",       "data_type", "out_data_type",
                                            "option_id", "mp_state", "chip_id",   "target",
                                            "group",     "attr",     "tvm_arch",  "cap"};
  for (const Row& row : all_rows()) {
    if (row.name == "IOMMU_VDEVICE_TSM_GUEST_REQUEST") continue;
    for (const Field& field : row.argument.fields)
      EXPECT_FALSE(kinds.contains(field.name) &&
                   (field.form == Field::Form::kNumber || field.form == Field::Form::kHex))
          << row.name << ' ' << field.name;
  }
}

struct DescribeTest : testing::Test {
  template <class Argument>
  std::string text(std::string_view name, const Argument& argument) {
    const std::uint64_t at = memory.map(kPageSize);
    EXPECT_TRUE(memory.write(at, std::as_bytes(std::span(&argument, 1))).has_value());
    return describe_argument(memory, argument_of(name), at);
  }
  mm::PlainMemory memory;
};

TEST_F(DescribeTest, FlagsHaveNamesAndTheRestIsANumber) {
  abi::iommu_ioas_map map{};
  map.flags = 7 | 0x100;
  map.ioas_id = 3;
  EXPECT_THAT(text("IOMMU_IOAS_MAP", map),
              testing::StartsWith("{flags=IOMMU_IOAS_MAP_FIXED_IOVA|IOMMU_IOAS_MAP_WRITEABLE|"
                                  "IOMMU_IOAS_MAP_READABLE|0x100, ioas_id=3, "));
}

TEST_F(DescribeTest, EnumerationsHaveNamesAndUnknownOnesAreNumbers) {
  abi::iommu_vdevice_tsm_op op{};
  op.type = 1;
  op.vdevice_id = 5;
  EXPECT_EQ(text("IOMMU_VDEVICE_TSM_OP", op),
            "{type=IOMMU_VDEVICE_TSM_BIND, flags=0x0, vdevice_id=5}");
  op.type = 9;
  EXPECT_EQ(text("IOMMU_VDEVICE_TSM_OP", op), "{type=0x9, flags=0x0, vdevice_id=5}");
  abi::kvm_device_attr attr{};
  attr.group = 1;
  attr.attr = 1;
  EXPECT_THAT(text("KVM_SET_DEVICE_ATTR", attr),
              testing::StartsWith("{group=KVM_DEV_VFIO_FILE, attr=KVM_DEV_VFIO_FILE_ADD, "));
}

TEST_F(DescribeTest, TheTypeOfATsmsViommuIsItsProfiles) {
  abi::iommu_viommu_alloc alloc{};
  alloc.type = IOMMU_VIOMMU_TYPE_TSM;
  EXPECT_THAT(text("IOMMU_VIOMMU_ALLOC", alloc), testing::HasSubstr("type=IOMMU_VIOMMU_TYPE_TSM"));
  const std::uint64_t at = memory.map(kPageSize);
  ASSERT_TRUE(memory.write(at, std::as_bytes(std::span(&alloc, 1))).has_value());
  EXPECT_THAT(describe_argument(memory, argument_of("IOMMU_VIOMMU_ALLOC"), at,
                                abi::AbiProfile::kVfioRfc2025),
              testing::HasSubstr("type=0x3"));
}

TEST_F(DescribeTest, AGuestRequestHasTheNameOfItsProfilesNumber) {
  abi::iommu_vdevice_tsm_req request{};
  request.op = abi::TSM_REQ_V7_READ_OBJECT;
  const std::uint64_t at = memory.map(kPageSize);
  ASSERT_TRUE(memory.write(at, std::as_bytes(std::span(&request, 1))).has_value());
  const auto words = [&](abi::AbiProfile profile) {
    return describe_argument(memory, argument_of("IOMMU_VDEVICE_TSM_REQ"), at, profile);
  };
  EXPECT_THAT(words(abi::AbiProfile::kIommufdV7), testing::HasSubstr("op=TSM_REQ_READ_OBJECT,"));
  EXPECT_THAT(words(abi::AbiProfile::kTeeio), testing::HasSubstr("op=TSM_REQ_SET_TDI_STATE,"));
  EXPECT_THAT(words(abi::AbiProfile::kIommufdV6), testing::HasSubstr("op=0x5,"));
}

TEST_F(DescribeTest, AFeatureIsANumberAndFlags) {
  const std::uint32_t feature[] = {8, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF};
  EXPECT_EQ(text("VFIO_DEVICE_FEATURE", feature),
            "{argsz=8, flags=VFIO_DEVICE_FEATURE_GET|VFIO_DEVICE_FEATURE_DMA_BUF}");
}

TEST_F(DescribeTest, AStatusIsItsFirmwares) {
  abi::iommu_vdevice_tsm_req request{};
  request.op = abi::TSM_REQ_SET_TDI_STATE;
  request.tvm_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX;
  request.tsm_code = 0xc0000f0e00000000;
  EXPECT_THAT(text("IOMMU_VDEVICE_TSM_REQ", request),
              testing::AllOf(testing::HasSubstr("op=TSM_REQ_SET_TDI_STATE, "
                                                "tvm_arch=IOMMU_VDEVICE_TSM_TVM_ARCH_TDX"),
                             testing::HasSubstr("TDISP_INVALID_REQ_STS}")));
  request.tsm_code = 0xc000010000000002;
  EXPECT_THAT(text("IOMMU_VDEVICE_TSM_REQ", request),
              testing::HasSubstr("tsm_code=TDX_OPERAND_INVALID|RDX}"));
  request.tvm_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA;
  request.tsm_code = 6;
  EXPECT_THAT(text("IOMMU_VDEVICE_TSM_REQ", request),
              testing::HasSubstr("tsm_code=RMI_ERROR_DEVICE"));
  request = {};  // refused for its own fields: no firmware was asked
  EXPECT_THAT(text("IOMMU_VDEVICE_TSM_REQ", request), testing::HasSubstr("tsm_code=0}"));
  request.tvm_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA;
  request.tsm_code = 77;
  EXPECT_THAT(text("IOMMU_VDEVICE_TSM_REQ", request), testing::HasSubstr("tsm_code=0x4d"));
}

TEST_F(DescribeTest, SoHaveKindsOfTablesRegistersAndCommands) {
  abi::iommu_hwpt_alloc hwpt{};
  hwpt.data_type = abi::IOMMU_HWPT_DATA_VTD_S1;
  EXPECT_THAT(text("IOMMU_HWPT_ALLOC", hwpt),
              testing::HasSubstr(", data_type=IOMMU_HWPT_DATA_VTD_S1, "));
  abi::iommu_hw_info info{};
  info.out_data_type = abi::IOMMU_HW_INFO_TYPE_AMD;
  info.out_capabilities = abi::IOMMU_HW_CAP_DIRTY_TRACKING;
  EXPECT_THAT(text("IOMMU_GET_HW_INFO", info),
              testing::HasSubstr(", out_data_type=IOMMU_HW_INFO_TYPE_AMD, "
                                 "out_capabilities=IOMMU_HW_CAP_DIRTY_TRACKING}"));
  const std::uint32_t measured[] = {2, KVM_TDX_MEASURE_MEMORY_REGION, 0, 0, 0, 0};
  EXPECT_THAT(text("KVM_MEMORY_ENCRYPT_OP", measured),
              testing::HasSubstr("flags=KVM_TDX_MEASURE_MEMORY_REGION, "));
  EXPECT_EQ(text("KVM_SET_MP_STATE", std::uint32_t{KVM_MP_STATE_HALTED}),
            "{mp_state=KVM_MP_STATE_HALTED}");
}

TEST_F(DescribeTest, AnArgumentThatIsAValueHasAName) {
  EXPECT_EQ(describe_argument(memory, argument_of("KVM_CHECK_EXTENSION"), KVM_CAP_IOEVENTFD),
            "KVM_CAP_IOEVENTFD");
  EXPECT_EQ(describe_argument(memory, argument_of("KVM_CREATE_VM"), 5), "KVM_X86_TDX_VM");
  EXPECT_EQ(describe_argument(memory, argument_of("KVM_RUN"), 0), "0");
  EXPECT_EQ(describe_argument(memory, argument_of("IOMMU_DESTROY"), 0xdead),
            "0xdead");  // no memory there
}

}  // namespace
}  // namespace teeio::entry
