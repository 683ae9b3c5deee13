#include "host/kvm/kvm.h"

#include "host/kvm/vm_file.h"

namespace teeio::kvm {

std::uint64_t Kvm::types() const {
  std::uint64_t bits = 1;  // KVM_X86_DEFAULT_VM
  // Arm's types are no bits: KVM_CAP_VM_TYPES is x86's.
  for (const VmTypeFactory* type : types_)
    if (type->type() < 64) bits |= 1ULL << type->type();
  return bits;
}

Result<object::Ref<object::File>> Kvm::create_vm(std::uint64_t type, std::uint64_t mm_id) {
  VmTypeFactory* factory = nullptr;
  for (VmTypeFactory* candidate : types_)
    if (candidate->type() == type) factory = candidate;
  if (factory == nullptr && type != 0) return fail(Errno::kInval, "this host has no such VM type");
  const std::uint32_t number = next_number_.fetch_add(1);
  TEEIO_ASSIGN(object::Ref<Vm> vm, Vm::create(*this, factory, number, mm_id));
  return object::Ref<object::File>(object::make_ref<VmFile>(std::move(vm)));
}

}  // namespace teeio::kvm
