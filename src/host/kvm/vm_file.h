#pragma once

#include "host/kvm/vm.h"
#include "host/mm/caller.h"
#include "object/file.h"

namespace teeio::kvm {

/// The descriptor of a VM. Other subsystems hold the file, not the Vm: VFIO
/// while it is associated, a vIOMMU for its whole life.
///
/// Under `teeio run --host-kvm` it stands for a VM of the host's own KVM, whose descriptor it
/// holds: for the VM's KVM VFIO device, which is ours, and for whom that one tells of the VM.
/// It has no memory, no vCPU and no firmware behind it.
class VmFile final : public object::File {
 public:
  /// `host_vm`: what it stands for; null for a VM of this KVM.
  explicit VmFile(object::Ref<Vm> vm, object::Ref<mm::ForeignFile> host_vm = nullptr);
  [[nodiscard]] Vm& vm() { return *vm_; }
  [[nodiscard]] const object::Ref<mm::ForeignFile>& host_vm() const { return host_vm_; }

 private:
  void release() override;
  object::Ref<Vm> vm_;
  object::Ref<mm::ForeignFile> host_vm_;
};

}  // namespace teeio::kvm
