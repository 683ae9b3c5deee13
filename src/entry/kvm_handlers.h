#pragma once

#include <cstdint>

#include "entry/call.h"

namespace teeio::entry {

// The handlers behind kvm_rows(), kvm_vm_rows(), kvm_vcpu_rows() and
// kvm_vfio_rows(), one an ioctl: decode, one call, encode.
Result<std::int64_t> ioctl_get_api_version(Call& call);
Result<std::int64_t> ioctl_create_vm(Call& call);
Result<std::int64_t> ioctl_check_extension(Call& call);
Result<std::int64_t> ioctl_get_vcpu_mmap_size(Call& call);

Result<std::int64_t> ioctl_vm_check_extension(Call& call);
Result<std::int64_t> ioctl_create_vcpu(Call& call);
Result<std::int64_t> ioctl_set_user_memory_region(Call& call);
Result<std::int64_t> ioctl_set_user_memory_region2(Call& call);
Result<std::int64_t> ioctl_set_memory_attributes(Call& call);
Result<std::int64_t> ioctl_create_guest_memfd(Call& call);
Result<std::int64_t> ioctl_create_device(Call& call);
Result<std::int64_t> ioctl_vm_memory_encrypt_op(Call& call);

Result<std::int64_t> ioctl_run(Call& call);
Result<std::int64_t> ioctl_get_regs(Call& call);
Result<std::int64_t> ioctl_set_regs(Call& call);
Result<std::int64_t> ioctl_get_sregs(Call& call);
Result<std::int64_t> ioctl_set_sregs(Call& call);
Result<std::int64_t> ioctl_pre_fault_memory(Call& call);
Result<std::int64_t> ioctl_vcpu_memory_encrypt_op(Call& call);

Result<std::int64_t> ioctl_set_device_attr(Call& call);
Result<std::int64_t> ioctl_get_device_attr(Call& call);
Result<std::int64_t> ioctl_has_device_attr(Call& call);

/// Bytes of a vCPU's mapping: struct kvm_run, port data, coalesced MMIO.
inline constexpr std::uint64_t kVcpuMmapSize = 3 * 4096;
/// Where IN and OUT data lie in it.
inline constexpr std::uint64_t kPortDataOffset = 4096;

}  // namespace teeio::entry
