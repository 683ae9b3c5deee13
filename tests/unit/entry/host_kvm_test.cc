#include <gtest/gtest.h>

#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using machine::test::error_of;
using machine::test::make_machine;
using machine::test::Vmm;

/// A descriptor of the program that is the host's: a VM of its KVM, one that nobody may look
/// at, or neither.
class HostFile final : public mm::ForeignFile {
 public:
  explicit HostFile(Result<bool> is_vm, int file = 0) : is_vm_(is_vm), file_(file) {}
  Result<object::Ref<mm::EventFd>> eventfd() override { return fail(Errno::kInval, "no eventfd"); }
  Result<object::Ref<mm::Pages>> memfd_pages(std::uint64_t, std::uint64_t, mm::Access) override {
    return fail(Errno::kInval, "no memfd");
  }
  Result<bool> is_host_vm() override { return is_vm_; }
  [[nodiscard]] bool same_file(const mm::ForeignFile& other) const override {
    return file_ == static_cast<const HostFile&>(other).file_;
  }

 private:
  void release() override {}
  const Result<bool> is_vm_;
  const int file_;
};

/// A program on a host whose KVM is real.
struct HostKvm : testing::Test {
  HostKvm() { machine->leave_kvm_to_host(); }

  int add(Result<bool> is_vm, int file = 0) {
    return vmm.install(object::make_ref<HostFile>(std::move(is_vm), file)).value_or(-1);
  }
  static abi::kvm_create_device device(std::uint32_t type = abi::KVM_DEV_TYPE_VFIO) {
    abi::kvm_create_device device{};
    device.type = type;
    return device;
  }
  Result<object::Ref<object::File>> stand_in(int fd, std::uint32_t type = abi::KVM_DEV_TYPE_VFIO,
                                             std::uint32_t command = KVM_CREATE_DEVICE) {
    const auto argument = device(type);
    mm::PlainCaller caller(vmm.process());
    return machine->system_calls().stand_in(caller, fd, command, vmm.store(bytes_of(argument)));
  }
  /// KVM_CREATE_DEVICE as run/ has it carried out: the device's descriptor.
  Result<int> create_device(int fd) {
    TEEIO_ASSIGN(const auto vm, stand_in(fd));
    mm::PlainCaller caller(vmm.process());
    const auto argument = device();
    const std::uint64_t address = vmm.store(bytes_of(argument));
    TEEIO_TRY(machine->system_calls().ioctl(caller, *vm, KVM_CREATE_DEVICE, address));
    abi::kvm_create_device made{};
    TEEIO_TRY(vmm.memory().read(address, writable_bytes_of(made)));
    return static_cast<int>(made.fd);
  }

  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
};

TEST_F(HostKvm, OnlyTheVfioDeviceOfARealVmIsAnsweredHere) {
  const int vm = add(true);
  EXPECT_TRUE(*stand_in(vm));
  EXPECT_FALSE(*stand_in(vm, abi::KVM_DEV_TYPE_XICS));
  EXPECT_FALSE(*stand_in(vm, abi::KVM_DEV_TYPE_VFIO, KVM_CREATE_VCPU));
  EXPECT_FALSE(*stand_in(add(false)));
  EXPECT_EQ(error_of(stand_in(add(fail(Errno::kPerm, "sealed")))), Errno::kPerm);
  EXPECT_EQ(error_of(stand_in(99)), Errno::kBadF);
  // An argument that cannot be read is the kernel's to refuse.
  mm::PlainCaller caller(vmm.process());
  EXPECT_FALSE(*machine->system_calls().stand_in(caller, vm, KVM_CREATE_DEVICE, 8));
}

TEST_F(HostKvm, NothingIsTakenOverWhereKvmIsTheMachines) {
  const auto other = make_machine();
  Vmm program(*other);
  const auto fd = program.install(object::make_ref<HostFile>(true));
  const auto argument = device();
  mm::PlainCaller caller(program.process());
  EXPECT_FALSE(*other->system_calls().stand_in(caller, *fd, KVM_CREATE_DEVICE,
                                               program.store(bytes_of(argument))));
}

TEST_F(HostKvm, AVmHasOneDeviceByWhicheverDescriptorAndAnotherAfterIt) {
  const int vm = add(true, 1), same = add(true, 1), other = add(true, 2);
  const auto first = create_device(vm);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(error_of(create_device(same)), Errno::kBusy);
  EXPECT_TRUE(create_device(other).has_value());
  EXPECT_TRUE(vmm.close(*first).has_value());
  EXPECT_TRUE(create_device(same).has_value());
}

TEST_F(HostKvm, ADeviceToldOfARealVmIsRefusedABind) {
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  const auto made = create_device(add(true));
  ASSERT_TRUE(made.has_value());
  vmm.kvm_vfio = *made;
  ASSERT_TRUE(vmm.open_device(machine::test::kVf0).has_value());
  ASSERT_TRUE(vmm.associate().has_value());
  EXPECT_EQ(error_of(vmm.associate()), Errno::kExist);
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  ASSERT_TRUE(vmm.make_viommu().has_value());
  ASSERT_TRUE(vmm.make_vdevice().has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kInval);
  EXPECT_TRUE(vmm.associate(KVM_DEV_VFIO_FILE_DEL).has_value());
  EXPECT_EQ(error_of(vmm.associate(KVM_DEV_VFIO_FILE_DEL)), Errno::kNoEnt);
}

}  // namespace
}  // namespace teeio::entry
