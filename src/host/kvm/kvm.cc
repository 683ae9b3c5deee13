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

object::Ref<object::File> Kvm::known_host_vm(const mm::ForeignFile& real) {
  for (VmFile* known : host_vms_)
    if (known->host_vm()->same_file(real) && known->add_ref_unless_zero())
      return object::Ref<object::File>::adopt(known);
  return nullptr;
}

Result<object::Ref<object::File>> Kvm::host_vm(object::Ref<mm::ForeignFile> real,
                                               std::uint64_t mm_id) {
  {
    const schedule::Lock lock(host_vms_lock_);
    if (auto known = known_host_vm(*real)) return known;
  }
  TEEIO_ASSIGN(object::Ref<Vm> vm, Vm::create(*this, nullptr, next_number_.fetch_add(1), mm_id));
  const auto file = object::make_ref<VmFile>(std::move(vm), std::move(real));
  const schedule::Lock lock(host_vms_lock_);
  // Another thread of the program may have asked at the same time.
  if (auto known = known_host_vm(*file->host_vm())) return known;
  host_vms_.push_back(file.get());
  return object::Ref<object::File>(file);
}

void Kvm::forget_host_vm(const VmFile& file) {
  const schedule::Lock lock(host_vms_lock_);
  std::erase(host_vms_, &file);
}

}  // namespace teeio::kvm
