#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "host/kvm/vcpu.h"
#include "host/kvm/vm.h"
#include "host/mm/mapped_file.h"
#include "object/file.h"

namespace teeio::kvm {

/// The descriptor of a vCPU, which lives on when it is closed: kvm_vcpu_release() only puts
/// the VM, and nobody gives the vCPU a second descriptor.
///
/// Lifetime: an open file; holds the Vm.
class VcpuFile final : public object::File {
 public:
  VcpuFile(object::Ref<Vm> vm, Vcpu& vcpu);
  [[nodiscard]] Vcpu& vcpu() { return vcpu_; }
  /// The file behind mmap of this descriptor: struct kvm_run.
  void set_mapped_file(std::unique_ptr<mm::MappedFile> file) { mapped_ = std::move(file); }
  [[nodiscard]] mm::MappedFile* mapped_file() { return mapped_.get(); }

 private:
  void release() override;

  object::Ref<Vm> vm_;
  const std::uint32_t id_;
  Vcpu& vcpu_;  ///< not in release(): it may be forgotten (Vm::forget_vcpu())
  std::unique_ptr<mm::MappedFile> mapped_;
};

}  // namespace teeio::kvm
