#include "host/kvm/vcpu_file.h"

#include <fmt/format.h>

namespace teeio::kvm {

VcpuFile::VcpuFile(object::Ref<Vm> vm, Vcpu& vcpu)
    : File(object::FileKind::kKvmVcpu), vm_(std::move(vm)), id_(vcpu.id()), vcpu_(vcpu) {}

/// kvm_vcpu_release().
void VcpuFile::release() {
  auto call = vm_->trace().call(object::Lane::kKvm, "kvm_vcpu_release",
                                {.detail = fmt::format("vcpu={}", id_), .vm = vm_->number()});
  mapped_.reset();
  vm_.reset();
}

}  // namespace teeio::kvm
