#pragma once

#include <cstdint>

#include "abi/kvm.h"
#include "entry/call.h"
#include "host/kvm/vcpu.h"
#include "host/kvm/vm.h"

namespace teeio::entry {

/// What a vendor's VM type adds to KVM's ioctls. One file of this room each.
struct VendorVm {
  std::uint64_t type;  ///< KVM_CREATE_VM's argument
  /// KVM_MEMORY_ENCRYPT_OP of a VM and of a vCPU; the call's file is of that type.
  Result<std::int64_t> (*vm_op)(Call& call);
  Result<std::int64_t> (*vcpu_op)(Call& call);
  /// Writes an exit of Reason::kVendor, and reads what the VMM left there.
  void (*encode)(const kvm::VcpuExit& exit, abi::kvm_run& run);
  void (*decode)(const abi::kvm_run& run, kvm::VcpuCompletion& done);
};

/// The row of a VM type; null for one that adds nothing.
[[nodiscard]] const VendorVm* vendor_vm(std::uint64_t type);

[[nodiscard]] const VendorVm& tdx_vendor_vm();
[[nodiscard]] const VendorVm& snp_vendor_vm();
[[nodiscard]] const VendorVm& realm_vendor_vm();

}  // namespace teeio::entry
