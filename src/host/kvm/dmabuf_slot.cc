#include "host/kvm/dmabuf_slot.h"

#include "host/kvm/vm.h"
#include "host/kvm/vm_file.h"
#include "object/trace.h"

namespace teeio::kvm {

Result<std::unique_ptr<DmaBufSlot>> DmaBufSlot::create(Vm& vm, object::Ref<object::File> file,
                                                       Gpa start, std::uint64_t size) {
  if (file->kind() != object::FileKind::kDmaBuf)
    return fail(Errno::kInval, "the descriptor of a KVM_MEM_VFIO_DMABUF slot is no dma-buf");
  auto buffer = object::Ref<dmabuf::DmaBuf>::share(static_cast<dmabuf::DmaBuf&>(*file));
  if (buffer->size_bytes() != size)
    return fail(Errno::kInval, "the slot and its dma-buf differ in size");
  {
    const schedule::Lock lock(buffer->resv());
    dmabuf::Exporter* exporter = buffer->exporter();
    object::File* owner = exporter == nullptr ? nullptr : exporter->vm_file();
    if (owner == nullptr || &static_cast<VmFile*>(owner)->vm() != &vm)
      return fail(Errno::kInval, "the dma-buf's device is not associated with this VM");
  }
  std::unique_ptr<DmaBufSlot> slot(new DmaBufSlot(vm, std::move(buffer), start, size));
  TEEIO_ASSIGN(slot->attachment_, slot->buffer_->attach(*slot));
  return slot;
}

DmaBufSlot::~DmaBufSlot() {
  if (attachment_ != nullptr) buffer_->detach(*attachment_);
}

Result<Hpa> DmaBufSlot::lookup(std::uint64_t offset) {
  const schedule::Lock lock(buffer_->resv());
  const auto range = buffer_->lookup(*attachment_, offset);
  if (!range) return fail(Errno::kFault, "the dma-buf behind the slot is revoked");
  return range->start;
}

void DmaBufSlot::invalidated(dmabuf::Attachment&) {
  auto call = vm_.trace().call(object::Lane::kKvm, "move_notify", {.vm = vm_.number()});
  vm_.mmu().zap(start_, size_, Zap::kBoth);
}

void DmaBufSlot::held(dmabuf::Attachment&) { vm_.mmu().retry_faults(); }

}  // namespace teeio::kvm
