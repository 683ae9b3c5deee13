#include "entry/vendor_vms.h"

#include "entry/kvm_handlers.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"

namespace teeio::entry {

const VendorVm* vendor_vm(std::uint64_t type) {
  for (const VendorVm* row : {&tdx_vendor_vm(), &snp_vendor_vm(), &realm_vendor_vm()})
    if (row->type == type) return row;
  return nullptr;
}

Result<std::int64_t> ioctl_vm_memory_encrypt_op(Call& call) {
  const VendorVm* row = vendor_vm(static_cast<kvm::VmFile&>(call.file).vm().type());
  if (row == nullptr) return fail(Errno::kNoTty, "the VM's type has no commands of its own");
  return row->vm_op(call);
}

Result<std::int64_t> ioctl_vcpu_memory_encrypt_op(Call& call) {
  const VendorVm* row = vendor_vm(static_cast<kvm::VcpuFile&>(call.file).vcpu().vm().type());
  if (row == nullptr) return fail(Errno::kNoTty, "the VM's type has no commands of its own");
  return row->vcpu_op(call);
}

}  // namespace teeio::entry
