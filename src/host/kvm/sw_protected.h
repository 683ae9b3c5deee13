#pragma once

#include <memory>

#include "host/kvm/vm_ops.h"

namespace teeio::kvm {

inline constexpr std::uint64_t kVmTypeSwProtected = 1;  ///< KVM_X86_SW_PROTECTED_VM

/// A VM with private memory that no hardware protects: KVM's own test vehicle.
class SwProtectedVm final : public VmOps {
 public:
  [[nodiscard]] bool has_private_memory() const override { return true; }
};

class SwProtectedFactory final : public VmTypeFactory {
 public:
  [[nodiscard]] std::uint64_t type() const override { return kVmTypeSwProtected; }
  Result<std::unique_ptr<VmOps>> make(Vm&) override {
    return std::unique_ptr<VmOps>(std::make_unique<SwProtectedVm>());
  }
};

}  // namespace teeio::kvm
