// The rules of the ABI itself: sizes of structures, unknown calls, profiles, and
// bad addresses, after which nothing may be left.

#include "abi/profile.h"
#include "abi/vfio.h"
#include "entry/copy.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using machine::test::connect;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::make_machine;
using machine::test::Vmm;

/// A structure of which the first release had 8 bytes.
struct Extensible {
  std::uint32_t size, first;
  std::uint64_t later;
};
constexpr std::uint32_t kFirstSize = 8;

struct CopyTest : testing::Test {
  std::uint64_t put(std::uint32_t size, std::uint64_t later, std::uint64_t unknown) {
    const std::uint64_t words[] = {std::uint64_t{7} << 32U | size, later, unknown};
    const std::uint64_t at = memory.map(kPageSize);
    EXPECT_TRUE(memory.write(at, std::as_bytes(std::span(words))).has_value());
    return at;
  }
  mm::PlainMemory memory;
};

TEST_F(CopyTest, FieldsThatTheProgramDoesNotHaveAreZero) {
  const auto value = copy_struct_in<Extensible>(memory, put(8, ~0ULL, ~0ULL), kFirstSize);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->first, 7U);
  EXPECT_EQ(value->later, 0U);
}

TEST_F(CopyTest, StructureMayEndWhereMemoryEnds) {
  const std::uint64_t at = memory.map(kPageSize) + kPageSize - 8;
  const std::uint32_t words[] = {8, 7};
  ASSERT_TRUE(memory.write(at, std::as_bytes(std::span(words))).has_value());
  const auto value = copy_struct_in<Extensible>(memory, at, kFirstSize);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->first, 7U);
  EXPECT_EQ(value->later, 0U);
  const std::uint32_t longer = 16;  // than what is there
  ASSERT_TRUE(memory.write(at, bytes_of(longer)).has_value());
  EXPECT_EQ(error_of(copy_struct_in<Extensible>(memory, at, kFirstSize)), Errno::kFault);
}

TEST_F(CopyTest, StructureSmallerThanTheFirstIsEinval) {
  EXPECT_EQ(error_of(copy_struct_in<Extensible>(memory, put(7, 0, 0), kFirstSize)), Errno::kInval);
}

TEST_F(CopyTest, UnknownFieldsMustBeZero) {
  EXPECT_EQ(copy_struct_in<Extensible>(memory, put(24, 5, 0), kFirstSize)->later, 5U);
  EXPECT_EQ(error_of(copy_struct_in<Extensible>(memory, put(24, 5, 1), kFirstSize)),
            Errno::kTooBig);
}

TEST_F(CopyTest, NonzeroByteBeforeAnUnreadablePageIsWhatIsReported) {
  const std::uint32_t beyond = 2 * kPageSize;
  EXPECT_EQ(error_of(copy_struct_in<Extensible>(memory, put(beyond, 5, 1), kFirstSize)),
            Errno::kTooBig);
  EXPECT_EQ(error_of(copy_struct_in<Extensible>(memory, put(beyond, 5, 0), kFirstSize)),
            Errno::kFault);
}

TEST_F(CopyTest, AnswerIsCutToTheProgramsStructure) {
  const std::uint64_t at = put(8, 1, 2);
  ASSERT_TRUE(copy_struct_out(memory, at, Extensible{.size = 8, .first = 9, .later = 9}, 8));
  EXPECT_EQ(copy_in<std::uint64_t>(memory, at + 8), 1U);
}

// --- Unknown calls ---

TEST(SystemCalls, DeviceIsOpenedByItsOwnNameOnly) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  for (const std::string_view path : {"/dev/vfio/devices/vfio00", "/dev/vfio/devices/vfio99",
                                      "/dev/vfio/devices/vfio", "/dev/iommu2"})
    EXPECT_EQ(error_of(vmm.open(path)), Errno::kNoEnt) << path;
  machine->leave_kvm_to_host();
  EXPECT_EQ(error_of(vmm.open("/dev/kvm")), Errno::kNoEnt);
}

TEST(SystemCalls, UnknownIoctlHasTheErrnoOfItsKindOfFile) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  const std::pair<int, Errno> expected[] = {
      {vmm.iommufd, Errno::kNoTty}, {vmm.vfio, Errno::kNoTty},     {vmm.kvm, Errno::kInval},
      {vmm.vm, Errno::kNoTty},      {vmm.kvm_vfio, Errno::kNoTty}, {vmm.vcpu, Errno::kInval}};
  for (const auto& [fd, error] : expected)
    EXPECT_EQ(error_of(vmm.ioctl(fd, 0x1234, std::uint64_t{0})), error) << fd;
}

TEST(SystemCalls, DeviceBeforeBindIommufdAnswersNothingElse) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  std::uint32_t value = 0;
  for (const std::uint32_t command : {VFIO_DEVICE_GET_INFO, VFIO_DEVICE_RESET, 0x1234U})
    EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, command, std::uint64_t{0})), Errno::kInval) << command;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, 0, writable_bytes_of(value))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, 0, kPageSize)), Errno::kInval);
}

TEST(SystemCalls, VmOfAnotherProcessIsEio) {
  const auto machine = make_machine();
  Vmm owner(*machine, 1), heir(*machine, 2);
  ASSERT_TRUE(owner.make_vm().has_value());
  heir.vm = *heir.install(*owner.file(owner.vm));
  EXPECT_EQ(error_of(heir.make_vcpu()), Errno::kIo);
  EXPECT_EQ(error_of(heir.ioctl(heir.vm, 0x1234, std::uint64_t{0})), Errno::kIo);
  EXPECT_TRUE(owner.make_vcpu().has_value());
}

// --- Bad addresses ---

TEST(SystemCalls, BadAddressIsEfaultAndLeavesNothing) {
  const auto machine = make_machine();
  const auto at_boot = machine->census();
  {
    Vmm vmm(*machine);
    ASSERT_TRUE(connect(vmm).has_value());
    ASSERT_TRUE(vmm.prepare(kPf).has_value());
    const auto before = machine->census();
    const std::pair<int, std::uint32_t> calls[] = {
        {vmm.iommufd, IOMMU_IOAS_ALLOC},       {vmm.iommufd, IOMMU_HWPT_ALLOC},
        {vmm.iommufd, IOMMU_VIOMMU_ALLOC},     {vmm.iommufd, IOMMU_VDEVICE_ALLOC},
        {vmm.iommufd, IOMMU_DESTROY},          {vmm.iommufd, IOMMU_VDEVICE_TSM_OP},
        {vmm.iommufd, IOMMU_VDEVICE_TSM_REQ},  {vmm.vfio, VFIO_DEVICE_TSM_BIND},
        {vmm.vfio, VFIO_DEVICE_TSM_UNBIND},    {vmm.vfio, VFIO_DEVICE_FEATURE},
        {vmm.vfio, VFIO_DEVICE_SET_IRQS},      {vmm.vfio, VFIO_DEVICE_GET_REGION_INFO},
        {vmm.vm, KVM_SET_USER_MEMORY_REGION2}, {vmm.vm, KVM_CREATE_GUEST_MEMFD},
        {vmm.vm, KVM_CREATE_DEVICE},           {vmm.vm, KVM_MEMORY_ENCRYPT_OP},
        {vmm.kvm_vfio, KVM_SET_DEVICE_ATTR}};
    for (const auto& [fd, command] : calls)
      EXPECT_EQ(error_of(vmm.ioctl(fd, command, std::uint64_t{8})), Errno::kFault) << command;
    EXPECT_EQ(machine->census(), before);
  }
  machine->shut_down();
  EXPECT_EQ(machine->census(), at_boot);
}

// memdup_user() comes before vfio_pci_set_irqs_ioctl() looks for the action.
TEST(SystemCalls, AnInterruptSetsDataIsReadBeforeItsActionIsLookedAt) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  constexpr std::uint32_t kMsix = 2;
  const auto set = [&](std::uint32_t flags, std::uint64_t at) {
    const abi::vfio_irq_set header{
        .argsz = sizeof(header) + 4, .flags = flags, .index = kMsix, .start = 0, .count = 1};
    EXPECT_TRUE(vmm.memory().write(at, std::as_bytes(std::span(&header, 1))).has_value());
    return error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, at));
  };
  const std::uint64_t page = vmm.memory().map(kPageSize);
  const std::uint64_t last = page + kPageSize - sizeof(abi::vfio_irq_set);
  constexpr std::uint32_t kTwo = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_TRIGGER;
  constexpr std::uint32_t kBool = VFIO_IRQ_SET_DATA_BOOL, kFd = VFIO_IRQ_SET_DATA_EVENTFD;
  for (const std::uint32_t data : {kBool, kFd})
    for (const std::uint32_t action : {0U, kTwo}) {
      EXPECT_EQ(set(data | action, last), Errno::kFault) << data << " " << action;
      EXPECT_EQ(set(data | action, page), Errno::kNoTty) << data << " " << action;
    }
}

// The structure can be read but not written: the object was made, and must go.
TEST(SystemCalls, AnswerThatCannotBeCopiedOutLeavesNoObject) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  vmm.iommufd = *vmm.open("/dev/iommu");
  const std::uint64_t at = vmm.memory().map(kPageSize, mm::Access::kRead);
  abi::iommu_ioas_alloc ioas{};
  ioas.size = sizeof(ioas);
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, ioas).has_value());
  const std::uint32_t first = ioas.out_ioas_id;
  EXPECT_FALSE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, at).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, ioas).has_value());
  EXPECT_EQ(ioas.out_ioas_id, first + 1);
}

// --- Profiles ---

TEST(Profile, IommufdV5HasItsPostedNumbersAndNoVfioDoor) {
  const auto machine =
      make_machine(machine::kDefaultMachine, "abi = \"teeio\"", "abi = \"iommufd-v5\"");
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kNoTty);
  abi::iommu_vdevice_tsm_op op{
      .size = sizeof(op), .type = 1, .flags = 0, .vdevice_id = vmm.vdevice_id};
  EXPECT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_VDEVICE_TSM_OP_V5, op).has_value());
  EXPECT_EQ(machine->census().at("bound TSM of 0000:01:00.0"), "tsm0");
  EXPECT_EQ(error_of(vmm.ioctl(vmm.iommufd, IOMMU_VDEVICE_TSM_REQ, op)), Errno::kNoTty);
}

TEST(Profile, VfioRfcHasItsViommuTypeAndNoIommufdDoor) {
  const auto machine =
      make_machine(machine::kDefaultMachine, "abi = \"teeio\"", "abi = \"vfio-rfc-2025\"");
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.associate().has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(error_of(vmm.make_viommu(IOMMU_VIOMMU_TYPE_TSM)), Errno::kOpNotSupp);
  ASSERT_TRUE(vmm.make_viommu(2).has_value());
  ASSERT_TRUE(vmm.make_vdevice().has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(1)), Errno::kNoTty);
  EXPECT_TRUE(vmm.vfio_bind().has_value());
}

}  // namespace
}  // namespace teeio::entry
