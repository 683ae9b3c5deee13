#pragma once

// VMs for the oracle programs that ask KVM.
#include <linux/kvm.h>

#include "probe.h"

namespace probe {

inline int open_kvm() {
  const int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) give_up("/dev/kvm");
  return fd;
}

inline int create_vm(unsigned long type) {
  const int fd = ioctl(open_kvm(), KVM_CREATE_VM, type);
  if (fd < 0) give_up("KVM_CREATE_VM");
  return fd;
}

inline int create_vcpu(int vm) {
  const int fd = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (fd < 0) give_up("KVM_CREATE_VCPU");
  return fd;
}

inline int create_guest_memfd(int vm, std::uint64_t size) {
  kvm_create_guest_memfd arg = {};
  arg.size = size;
  const int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg);
  if (fd < 0) give_up("KVM_CREATE_GUEST_MEMFD");
  return fd;
}

inline kvm_userspace_memory_region2 slot(std::uint32_t number, std::uint64_t gpa,
                                         std::uint64_t size, const void* memory) {
  kvm_userspace_memory_region2 arg = {};
  arg.slot = number;
  arg.guest_phys_addr = gpa;
  arg.memory_size = size;
  arg.userspace_addr = address_of(memory);
  return arg;
}

inline long set_slot(int vm, kvm_userspace_memory_region2 arg) {
  return call(vm, KVM_SET_USER_MEMORY_REGION2, arg);
}

inline long set_attributes(int vm, std::uint64_t gpa, std::uint64_t size,
                           std::uint64_t attributes) {
  kvm_memory_attributes arg = {gpa, size, attributes, 0};
  return call(vm, KVM_SET_MEMORY_ATTRIBUTES, arg);
}

/// What KVM_GET_VCPU_MMAP_SIZE says: kvm_run, a page of port data, coalesced MMIO.
inline constexpr std::size_t kVcpuPages = 3;

/// A VM with one vCPU that starts in real mode at 0x1000, in a page of `code`.
struct Guest {
  int vm;
  int vcpu;
  kvm_run* run;
};

inline Guest start_guest(unsigned long type, const void* code, std::size_t length) {
  Guest guest = {create_vm(type), 0, nullptr};
  std::byte* memory = pages(1);
  memcpy(memory, code, length);
  if (set_slot(guest.vm, slot(0, 0x1000, kPage, memory)) != 0) give_up("memory slot");
  guest.vcpu = create_vcpu(guest.vm);
  void* run = mmap(nullptr, kVcpuPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, guest.vcpu, 0);
  if (run == MAP_FAILED) give_up("mmap of the vCPU");
  guest.run = static_cast<kvm_run*>(run);
  kvm_sregs sregs = {};
  if (call(guest.vcpu, KVM_GET_SREGS, sregs) != 0) give_up("KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  if (call(guest.vcpu, KVM_SET_SREGS, sregs) != 0) give_up("KVM_SET_SREGS");
  kvm_regs regs = {};
  regs.rip = 0x1000;
  regs.rflags = 2;
  if (call(guest.vcpu, KVM_SET_REGS, regs) != 0) give_up("KVM_SET_REGS");
  return guest;
}

}  // namespace probe
