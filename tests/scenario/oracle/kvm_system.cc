// /dev/kvm itself: version, capabilities, sizes, and what it does not know.
#include "kvm.h"

int main() {
  const int kvm = probe::open_kvm();
  probe::say_value(ioctl(kvm, KVM_GET_API_VERSION, 0), "GET_API_VERSION");
  probe::say_value(ioctl(kvm, KVM_GET_API_VERSION, 1), "GET_API_VERSION with an argument");
  probe::say_value(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "GET_VCPU_MMAP_SIZE");
  probe::say_value(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1), "GET_VCPU_MMAP_SIZE with an argument");

  const auto has = [kvm](int cap, const char* name) {
    probe::say_value(ioctl(kvm, KVM_CHECK_EXTENSION, cap), "CHECK_EXTENSION %s", name);
  };
  has(KVM_CAP_USER_MEMORY, "USER_MEMORY");
  has(KVM_CAP_USER_MEMORY2, "USER_MEMORY2");
  has(KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS");
  has(KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "JOIN_MEMORY_REGIONS_WORKS");
  has(KVM_CAP_NR_MEMSLOTS, "NR_MEMSLOTS");
  has(KVM_CAP_CHECK_EXTENSION_VM, "CHECK_EXTENSION_VM");
  has(KVM_CAP_DEVICE_CTRL, "DEVICE_CTRL");
  has(KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT");
  has(KVM_CAP_MEMORY_FAULT_INFO, "MEMORY_FAULT_INFO");
  has(KVM_CAP_GUEST_MEMFD, "GUEST_MEMFD");
  has(KVM_CAP_PRE_FAULT_MEMORY, "PRE_FAULT_MEMORY");
  has(KVM_CAP_READONLY_MEM, "READONLY_MEM");
  has(-1, "-1");
  has(9999, "9999");
  const int types = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
  probe::say_if((types & 1) != 0, "VM_TYPES has the default");
  probe::say_if((types >> 6) == 0, "and nothing beyond TDX");

  probe::say(ioctl(kvm, KVM_CREATE_VM, 0), "CREATE_VM 0");
  probe::say(ioctl(kvm, KVM_CREATE_VM, 6), "CREATE_VM 6");
  probe::say(ioctl(kvm, KVM_CREATE_VM, 99), "CREATE_VM 99");
  probe::say(ioctl(kvm, KVM_CREATE_VM, -1L), "CREATE_VM -1");
  probe::say(ioctl(kvm, KVM_CREATE_VCPU, 0), "CREATE_VCPU");
  probe::say(ioctl(kvm, KVM_RUN, 0), "RUN");
  probe::say(ioctl(kvm, _IO(KVMIO, 0xff), 0), "number 0xff");
  probe::say(ioctl(kvm, _IO('!', 0), 0), "another type byte");
  char byte = 0;
  probe::say(read(kvm, &byte, 1), "read");
  probe::say(write(kvm, &byte, 1), "write");
  const void* map = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, kvm, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap");
}
