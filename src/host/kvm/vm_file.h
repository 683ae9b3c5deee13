#pragma once

#include "host/kvm/vm.h"
#include "object/file.h"

namespace teeio::kvm {

/// The descriptor of a VM. Other subsystems hold the file, not the Vm: VFIO
/// while it is associated, a vIOMMU for its whole life.
class VmFile final : public object::File {
 public:
  explicit VmFile(object::Ref<Vm> vm);
  [[nodiscard]] Vm& vm() { return *vm_; }

 private:
  void release() override;
  object::Ref<Vm> vm_;
};

}  // namespace teeio::kvm
