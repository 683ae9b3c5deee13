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
Result<std::int64_t> ioctl_get_msr_index_list(Call& call);
Result<std::int64_t> ioctl_get_msr_feature_index_list(Call& call);
Result<std::int64_t> ioctl_get_supported_cpuid(Call& call);
Result<std::int64_t> ioctl_get_emulated_cpuid(Call& call);
Result<std::int64_t> ioctl_get_feature_msrs(Call& call);
Result<std::int64_t> ioctl_get_mce_cap_supported(Call& call);
Result<std::int64_t> ioctl_system_get_device_attr(Call& call);
Result<std::int64_t> ioctl_system_has_device_attr(Call& call);

Result<std::int64_t> ioctl_vm_check_extension(Call& call);
Result<std::int64_t> ioctl_create_vcpu(Call& call);
Result<std::int64_t> ioctl_set_user_memory_region(Call& call);
Result<std::int64_t> ioctl_set_user_memory_region2(Call& call);
Result<std::int64_t> ioctl_set_memory_attributes(Call& call);
Result<std::int64_t> ioctl_create_guest_memfd(Call& call);
Result<std::int64_t> ioctl_create_device(Call& call);
Result<std::int64_t> ioctl_vm_memory_encrypt_op(Call& call);
Result<std::int64_t> ioctl_vm_enable_cap(Call& call);
Result<std::int64_t> ioctl_set_tss_addr(Call& call);
Result<std::int64_t> ioctl_set_identity_map_addr(Call& call);
Result<std::int64_t> ioctl_set_nr_mmu_pages(Call& call);
Result<std::int64_t> ioctl_set_boot_cpu_id(Call& call);
Result<std::int64_t> ioctl_create_irqchip(Call& call);
Result<std::int64_t> ioctl_get_irqchip(Call& call);
Result<std::int64_t> ioctl_set_irqchip(Call& call);
Result<std::int64_t> ioctl_create_pit(Call& call);
Result<std::int64_t> ioctl_create_pit2(Call& call);
Result<std::int64_t> ioctl_get_pit(Call& call);
Result<std::int64_t> ioctl_set_pit(Call& call);
Result<std::int64_t> ioctl_get_pit2(Call& call);
Result<std::int64_t> ioctl_set_pit2(Call& call);
Result<std::int64_t> ioctl_reinject_control(Call& call);
Result<std::int64_t> ioctl_set_gsi_routing(Call& call);
Result<std::int64_t> ioctl_irq_line(Call& call);
Result<std::int64_t> ioctl_irq_line_status(Call& call);
Result<std::int64_t> ioctl_signal_msi(Call& call);
Result<std::int64_t> ioctl_irqfd(Call& call);
Result<std::int64_t> ioctl_get_dirty_log(Call& call);
Result<std::int64_t> ioctl_clear_dirty_log(Call& call);
Result<std::int64_t> ioctl_ioeventfd(Call& call);
Result<std::int64_t> ioctl_set_clock(Call& call);
Result<std::int64_t> ioctl_get_clock(Call& call);
Result<std::int64_t> ioctl_vm_set_tsc_khz(Call& call);
Result<std::int64_t> ioctl_vm_get_tsc_khz(Call& call);

// Of VM types with Arm's instructions.
Result<std::int64_t> ioctl_preferred_target(Call& call);
Result<std::int64_t> ioctl_populate(Call& call);
Result<std::int64_t> ioctl_vm_set_device_attr(Call& call);
Result<std::int64_t> ioctl_vm_has_device_attr(Call& call);
Result<std::int64_t> ioctl_vcpu_init(Call& call);
Result<std::int64_t> ioctl_get_one_reg(Call& call);
Result<std::int64_t> ioctl_set_one_reg(Call& call);

Result<std::int64_t> ioctl_run(Call& call);
Result<std::int64_t> ioctl_set_signal_mask(Call& call);
Result<std::int64_t> ioctl_set_guest_debug(Call& call);
Result<std::int64_t> ioctl_get_regs(Call& call);
Result<std::int64_t> ioctl_set_regs(Call& call);
Result<std::int64_t> ioctl_get_sregs(Call& call);
Result<std::int64_t> ioctl_set_sregs(Call& call);
Result<std::int64_t> ioctl_translate(Call& call);
Result<std::int64_t> ioctl_pre_fault_memory(Call& call);
Result<std::int64_t> ioctl_vcpu_memory_encrypt_op(Call& call);
Result<std::int64_t> ioctl_set_cpuid2(Call& call);
Result<std::int64_t> ioctl_get_cpuid2(Call& call);
Result<std::int64_t> ioctl_get_msrs(Call& call);
Result<std::int64_t> ioctl_set_msrs(Call& call);
Result<std::int64_t> ioctl_get_sregs2(Call& call);
Result<std::int64_t> ioctl_set_sregs2(Call& call);
Result<std::int64_t> ioctl_get_vcpu_events(Call& call);
Result<std::int64_t> ioctl_set_vcpu_events(Call& call);
Result<std::int64_t> ioctl_get_mp_state(Call& call);
Result<std::int64_t> ioctl_set_mp_state(Call& call);
Result<std::int64_t> ioctl_get_debugregs(Call& call);
Result<std::int64_t> ioctl_set_debugregs(Call& call);
Result<std::int64_t> ioctl_get_xsave(Call& call);
Result<std::int64_t> ioctl_set_xsave(Call& call);
Result<std::int64_t> ioctl_get_fpu(Call& call);
Result<std::int64_t> ioctl_set_fpu(Call& call);
Result<std::int64_t> ioctl_vm_get_stats_fd(Call& call);
Result<std::int64_t> ioctl_vcpu_get_stats_fd(Call& call);
Result<std::int64_t> ioctl_get_xcrs(Call& call);
Result<std::int64_t> ioctl_set_xcrs(Call& call);
Result<std::int64_t> ioctl_get_lapic(Call& call);
Result<std::int64_t> ioctl_set_lapic(Call& call);
Result<std::int64_t> ioctl_interrupt(Call& call);
Result<std::int64_t> ioctl_smi(Call& call);
Result<std::int64_t> ioctl_nmi(Call& call);
Result<std::int64_t> ioctl_setup_mce(Call& call);
Result<std::int64_t> ioctl_set_mce(Call& call);
Result<std::int64_t> ioctl_tpr_access_reporting(Call& call);
Result<std::int64_t> ioctl_set_vapic_addr(Call& call);
Result<std::int64_t> ioctl_vcpu_set_tsc_khz(Call& call);
Result<std::int64_t> ioctl_vcpu_get_tsc_khz(Call& call);
Result<std::int64_t> ioctl_kvmclock_ctrl(Call& call);
Result<std::int64_t> ioctl_vcpu_enable_cap(Call& call);
Result<std::int64_t> ioctl_vcpu_set_device_attr(Call& call);
Result<std::int64_t> ioctl_vcpu_get_device_attr(Call& call);
Result<std::int64_t> ioctl_vcpu_has_device_attr(Call& call);

Result<std::int64_t> ioctl_set_device_attr(Call& call);
Result<std::int64_t> ioctl_get_device_attr(Call& call);
Result<std::int64_t> ioctl_has_device_attr(Call& call);

/// What kvm_cpuid2, kvm_msrs and kvm_irq_routing start with; their entries follow.
struct ListHeader {
  std::uint32_t count;
  std::uint32_t flags;  ///< or padding
};

/// Bytes of a vCPU's mapping: struct kvm_run, port data, coalesced MMIO.
inline constexpr std::uint64_t kVcpuMmapSize = 3 * 4096;
/// Where IN and OUT data lie in it.
inline constexpr std::uint64_t kPortDataOffset = 4096;

}  // namespace teeio::entry
