// The layout of every struct in this room, as Linux 7.3 has it on x86-64: its
// size and where its last field starts. A field of the wrong width or an order
// mixed up moves the last one. Numbers measured with the kernel's own headers.
#include <cstddef>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/psp_sev.h"
#include "abi/vfio.h"

namespace teeio::abi {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): offsetof takes a name
#define TEEIO_LAYOUT(type, size_bytes, last_field, at_bytes)              \
  static_assert(sizeof(type) == (size_bytes), #type " has another size"); \
  static_assert(offsetof(type, last_field) == (at_bytes), #type "." #last_field " is elsewhere")

// iommufd
TEEIO_LAYOUT(iommu_destroy, 8, id, 4);
TEEIO_LAYOUT(iommu_ioas_alloc, 12, out_ioas_id, 8);
TEEIO_LAYOUT(iommu_iova_range, 16, last, 8);
TEEIO_LAYOUT(iommu_ioas_iova_ranges, 32, out_iova_alignment, 24);
TEEIO_LAYOUT(iommu_ioas_allow_iovas, 24, allowed_iovas, 16);
TEEIO_LAYOUT(iommu_ioas_map, 40, iova, 32);
TEEIO_LAYOUT(iommu_ioas_map_file, 40, iova, 32);
TEEIO_LAYOUT(iommu_ioas_copy, 40, src_iova, 32);
TEEIO_LAYOUT(iommu_ioas_unmap, 24, length, 16);
TEEIO_LAYOUT(iommu_ioas_noiommu_get_pa, 40, out_phys, 32);
TEEIO_LAYOUT(iommu_ioas_change_process, 8, __reserved, 4);
TEEIO_LAYOUT(iommu_option, 24, val64, 16);
TEEIO_LAYOUT(iommu_vfio_ioas, 12, __reserved, 10);
TEEIO_LAYOUT(iommu_hw_info, 40, out_capabilities, 32);
TEEIO_LAYOUT(iommu_hw_info_vtd, 24, ecap_reg, 16);
TEEIO_LAYOUT(iommu_hw_info_arm_smmuv3, 40, aidr, 36);
TEEIO_LAYOUT(iommu_hw_info_tegra241_cmdqv, 8, __reserved, 7);
TEEIO_LAYOUT(iommu_hw_info_amd, 16, efr2, 8);
TEEIO_LAYOUT(iommu_hwpt_alloc, 48, __reserved2, 44);
TEEIO_LAYOUT(iommu_hwpt_vtd_s1, 24, __reserved, 20);
TEEIO_LAYOUT(iommu_hwpt_arm_smmuv3, 16, ste, 0);
TEEIO_LAYOUT(iommu_hwpt_amd_guest, 32, dte, 0);
TEEIO_LAYOUT(iommu_hwpt_set_dirty_tracking, 16, __reserved, 12);
TEEIO_LAYOUT(iommu_hwpt_get_dirty_bitmap, 48, data, 40);
TEEIO_LAYOUT(iommu_hwpt_invalidate, 32, __reserved, 28);
TEEIO_LAYOUT(iommu_hwpt_vtd_s1_invalidate, 24, __reserved, 20);
TEEIO_LAYOUT(iommu_viommu_arm_smmuv3_invalidate, 16, cmd, 0);
TEEIO_LAYOUT(iommu_fault_alloc, 16, out_fault_fd, 12);
TEEIO_LAYOUT(iommu_hwpt_pgfault, 40, cookie, 36);
TEEIO_LAYOUT(iommu_hwpt_page_response, 8, code, 4);
TEEIO_LAYOUT(iommu_viommu_alloc, 40, data_uptr, 32);
TEEIO_LAYOUT(iommu_viommu_tegra241_cmdqv, 16, out_vintf_mmap_length, 8);
TEEIO_LAYOUT(iommu_vdevice_alloc, 24, virt_id, 16);
TEEIO_LAYOUT(iommu_veventq_alloc, 32, __reserved, 28);
TEEIO_LAYOUT(iommufd_vevent_header, 8, sequence, 4);
TEEIO_LAYOUT(iommu_vevent_arm_smmuv3, 32, evt, 0);
TEEIO_LAYOUT(iommu_vevent_tegra241_cmdqv, 16, lvcmdq_err_map, 0);
TEEIO_LAYOUT(iommu_hw_queue_alloc, 40, length, 32);

// vfio
TEEIO_LAYOUT(vfio_info_cap_header, 8, next, 4);
TEEIO_LAYOUT(vfio_device_info, 24, pad, 20);
TEEIO_LAYOUT(vfio_device_info_cap_pci_atomic_comp, 16, reserved, 12);
TEEIO_LAYOUT(vfio_region_info, 32, offset, 24);
TEEIO_LAYOUT(vfio_region_sparse_mmap_area, 16, size, 8);
TEEIO_LAYOUT(vfio_region_info_cap_sparse_mmap, 16, areas, 16);
TEEIO_LAYOUT(vfio_region_info_cap_type, 16, subtype, 12);
TEEIO_LAYOUT(vfio_irq_info, 16, count, 12);
TEEIO_LAYOUT(vfio_irq_set, 20, data, 20);
TEEIO_LAYOUT(vfio_pci_dependent_device, 8, devfn, 7);
TEEIO_LAYOUT(vfio_pci_hot_reset_info, 12, devices, 12);
TEEIO_LAYOUT(vfio_pci_hot_reset, 12, group_fds, 12);
TEEIO_LAYOUT(vfio_device_ioeventfd, 32, reserved, 28);
TEEIO_LAYOUT(vfio_device_bind_iommufd, 24, token_uuid_ptr, 16);
TEEIO_LAYOUT(vfio_device_attach_iommufd_pt, 16, pasid, 12);
TEEIO_LAYOUT(vfio_device_detach_iommufd_pt, 12, pasid, 8);
TEEIO_LAYOUT(vfio_device_feature, 8, data, 8);
TEEIO_LAYOUT(vfio_device_low_power_entry_with_wakeup, 8, reserved, 4);
TEEIO_LAYOUT(vfio_device_feature_bus_master, 4, op, 0);
TEEIO_LAYOUT(vfio_region_dma_range, 16, length, 8);
TEEIO_LAYOUT(vfio_device_feature_dma_buf, 16, dma_ranges, 16);
TEEIO_LAYOUT(vfio_iommu_type1_info, 24, pad, 20);
TEEIO_LAYOUT(vfio_iova_range, 16, end, 8);
TEEIO_LAYOUT(vfio_iommu_type1_info_cap_iova_range, 16, iova_ranges, 16);
TEEIO_LAYOUT(vfio_iommu_type1_info_dma_avail, 12, avail, 8);
TEEIO_LAYOUT(vfio_iommu_type1_info_cap_migration, 32, max_dirty_bitmap_size, 24);
TEEIO_LAYOUT(vfio_iommu_type1_dma_map, 32, size, 24);
TEEIO_LAYOUT(vfio_bitmap, 24, data, 16);
TEEIO_LAYOUT(vfio_iommu_type1_dirty_bitmap, 8, data, 8);
TEEIO_LAYOUT(vfio_iommu_type1_dirty_bitmap_get, 40, bitmap, 16);
TEEIO_LAYOUT(vfio_group_status, 8, flags, 4);
TEEIO_LAYOUT(vfio_iommu_type1_dma_unmap, 24, data, 24);

// kvm
TEEIO_LAYOUT(kvm_enable_cap, 104, pad, 40);
TEEIO_LAYOUT(kvm_userspace_memory_region, 32, userspace_addr, 24);
TEEIO_LAYOUT(kvm_userspace_memory_region2, 160, pad2, 48);
TEEIO_LAYOUT(kvm_create_guest_memfd, 64, reserved, 16);
TEEIO_LAYOUT(kvm_memory_attributes, 32, flags, 24);
TEEIO_LAYOUT(kvm_pre_fault_memory, 64, padding, 24);
TEEIO_LAYOUT(kvm_create_device, 12, flags, 8);
TEEIO_LAYOUT(kvm_device_attr, 24, addr, 16);
TEEIO_LAYOUT(kvm_mp_state, 4, mp_state, 0);
TEEIO_LAYOUT(kvm_irqfd, 32, pad, 16);
TEEIO_LAYOUT(kvm_ioeventfd, 64, pad, 28);
TEEIO_LAYOUT(kvm_msi, 32, pad, 20);
TEEIO_LAYOUT(kvm_regs, 144, rflags, 136);
TEEIO_LAYOUT(kvm_segment, 24, padding, 23);
TEEIO_LAYOUT(kvm_dtable, 16, padding, 10);
TEEIO_LAYOUT(kvm_sregs, 312, interrupt_bitmap, 280);
TEEIO_LAYOUT(kvm_sregs2, 320, pdptrs, 288);
TEEIO_LAYOUT(kvm_fpu, 416, pad2, 412);
TEEIO_LAYOUT(kvm_guest_debug, 72, arch.debugreg, 8);
TEEIO_LAYOUT(kvm_signal_mask, 4, len, 0);
TEEIO_LAYOUT(kvm_msr_entry, 16, data, 8);
TEEIO_LAYOUT(kvm_msrs, 8, entries, 8);
TEEIO_LAYOUT(kvm_msr_list, 4, indices, 4);
TEEIO_LAYOUT(kvm_cpuid_entry2, 40, padding, 28);
TEEIO_LAYOUT(kvm_cpuid2, 8, entries, 8);
TEEIO_LAYOUT(kvm_lapic_state, 1024, regs, 0);
TEEIO_LAYOUT(kvm_debug_exit_arch, 32, dr7, 24);
TEEIO_LAYOUT(kvm_vcpu_events, 64, exception_payload, 56);
TEEIO_LAYOUT(kvm_sync_regs, 520, events, 456);
TEEIO_LAYOUT(kvm_pic_state, 16, elcr_mask, 15);
TEEIO_LAYOUT(kvm_ioapic_state, 216, redirtbl, 24);
TEEIO_LAYOUT(kvm_irqchip, 520, chip, 8);
TEEIO_LAYOUT(kvm_irq_level, 8, level, 4);
TEEIO_LAYOUT(kvm_pit_config, 64, pad, 4);
TEEIO_LAYOUT(kvm_pit_channel_state, 24, count_load_time, 16);
TEEIO_LAYOUT(kvm_pit_state, 72, channels, 0);
TEEIO_LAYOUT(kvm_pit_state2, 112, reserved, 76);
TEEIO_LAYOUT(kvm_reinject_control, 32, reserved, 1);
TEEIO_LAYOUT(kvm_irq_routing_entry, 48, u, 16);
TEEIO_LAYOUT(kvm_irq_routing, 8, entries, 8);
TEEIO_LAYOUT(kvm_coalesced_mmio_zone, 16, pio, 12);
TEEIO_LAYOUT(kvm_translation, 24, usermode, 18);
TEEIO_LAYOUT(kvm_debugregs, 128, reserved, 56);
TEEIO_LAYOUT(kvm_xsave, 4096, region, 0);
TEEIO_LAYOUT(kvm_xcrs, 392, padding, 264);
TEEIO_LAYOUT(kvm_x86_mce, 64, bank, 32);
TEEIO_LAYOUT(kvm_tpr_access_ctl, 40, reserved, 8);
TEEIO_LAYOUT(kvm_clock_data, 48, host_tsc, 24);
TEEIO_LAYOUT(kvm_msr_filter, 392, ranges, 8);
TEEIO_LAYOUT(kvm_dirty_log, 16, dirty_bitmap, 8);
TEEIO_LAYOUT(kvm_clear_dirty_log, 24, dirty_bitmap, 16);
TEEIO_LAYOUT(kvm_stats_header, 24, data_offset, 20);
TEEIO_LAYOUT(kvm_stats_desc, 16, name, 16);
TEEIO_LAYOUT(kvm_tdx_cmd, 24, hw_error, 16);
TEEIO_LAYOUT(kvm_tdx_capabilities, 2056, cpuid, 2048);
TEEIO_LAYOUT(kvm_tdx_init_vm, 264, cpuid, 256);
TEEIO_LAYOUT(kvm_tdx_init_mem_region, 24, nr_pages, 16);
TEEIO_LAYOUT(sev_issue_cmd, 16, error, 12);
TEEIO_LAYOUT(sev_user_data_status, 12, guest_count, 8);
TEEIO_LAYOUT(sev_user_data_pek_csr, 12, length, 8);
TEEIO_LAYOUT(sev_user_data_pek_cert_import, 24, oca_cert_len, 20);
TEEIO_LAYOUT(sev_user_data_pdh_cert_export, 24, cert_chain_len, 20);
TEEIO_LAYOUT(sev_user_data_get_id, 128, socket2, 64);
TEEIO_LAYOUT(sev_user_data_get_id2, 12, length, 8);
TEEIO_LAYOUT(sev_user_data_snp_status, 32, reported_tcb_version, 24);
TEEIO_LAYOUT(sev_user_data_snp_config, 64, rsvd1, 12);
TEEIO_LAYOUT(sev_user_data_snp_vlek_load, 16, vlek_wrapped_address, 8);
TEEIO_LAYOUT(sev_user_data_snp_wrapped_vlek_hashstick, 432, data, 0);
TEEIO_LAYOUT(kvm_sev_cmd, 24, sev_fd, 20);
TEEIO_LAYOUT(kvm_sev_init, 48, pad2, 16);
TEEIO_LAYOUT(kvm_sev_snp_launch_start, 64, pad1, 32);
TEEIO_LAYOUT(kvm_sev_snp_launch_update, 64, pad2, 32);
TEEIO_LAYOUT(kvm_sev_snp_launch_finish, 88, pad1, 56);
TEEIO_LAYOUT(kvm_user_vmgexit, 60, tio_req.fw_err, 52);

// kvm_run, by the exits that a VMM of confidential VMs handles
TEEIO_LAYOUT(kvm_run, 2352, exit_reason, 8);
TEEIO_LAYOUT(kvm_run, 2352, flags, 14);
TEEIO_LAYOUT(kvm_run, 2352, apic_base, 24);
TEEIO_LAYOUT(kvm_run, 2352, io.data_offset, 40);
TEEIO_LAYOUT(kvm_run, 2352, mmio.is_write, 52);
TEEIO_LAYOUT(kvm_run, 2352, hypercall.ret, 88);
TEEIO_LAYOUT(kvm_run, 2352, internal.data, 40);
TEEIO_LAYOUT(kvm_run, 2352, emulation_failure.insn_bytes, 49);
TEEIO_LAYOUT(kvm_run, 2352, system_event.data, 40);
TEEIO_LAYOUT(kvm_run, 2352, memory_fault.gpa, 40);
TEEIO_LAYOUT(kvm_run, 2352, memory_fault.size, 48);
TEEIO_LAYOUT(kvm_run, 2352, tdx.nr, 40);
TEEIO_LAYOUT(kvm_run, 2352, tdx.get_quote.size, 64);
TEEIO_LAYOUT(kvm_run, 2352, tdx.get_tdvmcall_info.r14, 88);
TEEIO_LAYOUT(kvm_run, 2352, tdx.setup_event_notify.vector, 56);
TEEIO_LAYOUT(kvm_run, 2352, kvm_valid_regs, 288);
// proposed
TEEIO_LAYOUT(vfio_pci_tsm_bind, 16, pad, 12);
TEEIO_LAYOUT(vfio_pci_tsm_unbind, 8, flags, 4);
TEEIO_LAYOUT(iommu_vdevice_tsm_op, 16, vdevice_id, 12);
TEEIO_LAYOUT(iommu_vdevice_tsm_req, 48, tsm_code, 40);
TEEIO_LAYOUT(tsm_req_read_object, 8, offset, 4);
TEEIO_LAYOUT(tsm_req_regen_object, 32, nonce, 0);
TEEIO_LAYOUT(tsm_req_set_tdi_state, 4, state, 0);
TEEIO_LAYOUT(tsm_req_validate_mmio, 24, address, 16);
TEEIO_LAYOUT(iommu_vdevice_tsm_guest_request, 48, resp_uptr, 40);

#undef TEEIO_LAYOUT

// The macros carry literal numbers, so that they work in any namespace; the
// enumerators must say the same.
static_assert(IOMMU_DESTROY == _IO(IOMMUFD_TYPE, IOMMUFD_CMD_DESTROY));
static_assert(IOMMU_HW_QUEUE_ALLOC == _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HW_QUEUE_ALLOC));
static_assert(IOMMU_IOAS_NOIOMMU_GET_PA == _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA));
static_assert(IOMMU_VDEVICE_TSM_OP == _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VDEVICE_TSM_OP));
static_assert(IOMMU_VDEVICE_TSM_REQ == _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VDEVICE_TSM_REQ));
static_assert(VFIO_DEVICE_TSM_BIND == _IO(VFIO_TYPE, VFIO_BASE + 22));

}  // namespace
}  // namespace teeio::abi
