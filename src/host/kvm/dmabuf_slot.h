#pragma once

#include <memory>

#include "base/result.h"
#include "base/types.h"
#include "host/dmabuf/dmabuf.h"
#include "object/ref.h"

namespace teeio::kvm {

class Vm;

/// KVM's import of a VFIO dma-buf: the MMIO behind a KVM_MEM_VFIO_DMABUF slot.
/// Source: the 2025 RFC "Private MMIO support", patches 06, 07 and 10.
///
/// Lifetime: from slot creation to slot deletion; holds the dma-buf's file.
/// Locking: invalidated() comes with dma_resv held and takes mmu_lock.
class DmaBufSlot final : public dmabuf::Importer {
 public:
  /// Errors: EBADF, EINVAL for a descriptor that is no VFIO dma-buf, when the
  /// sizes differ, or when its device belongs to another VM; the exporter's.
  static Result<std::unique_ptr<DmaBufSlot>> create(Vm& vm, object::Ref<object::File> file,
                                                    Gpa start, std::uint64_t size);
  ~DmaBufSlot() override;

  /// The bus address behind `offset`, valid until the next invalidation: the
  /// caller compares mmu_invalidate_seq. Errors: EFAULT while revoked.
  Result<Hpa> lookup(std::uint64_t offset);

 private:
  DmaBufSlot(Vm& vm, object::Ref<dmabuf::DmaBuf> buffer, Gpa start, std::uint64_t size)
      : vm_(vm), buffer_(std::move(buffer)), start_(start), size_(size) {}
  void invalidated(dmabuf::Attachment& attachment) override;
  void held(dmabuf::Attachment& attachment) override;

  Vm& vm_;
  const object::Ref<dmabuf::DmaBuf> buffer_;
  const Gpa start_;
  const std::uint64_t size_;
  dmabuf::Attachment* attachment_ = nullptr;
};

}  // namespace teeio::kvm
