#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "object/file.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::dmabuf {

class DmaBuf;
class Attachment;

/// A run of bus addresses (Linux: struct phys_vec).
struct PhysRange {
  Hpa start{0};
  std::uint64_t length = 0;  ///< bytes, page aligned
  bool operator==(const PhysRange&) const = default;
};

/// Who owns the memory behind a DmaBuf (Linux: struct dma_buf_ops of VFIO).
///
/// Lifetime: outlives the DmaBuf, or calls DmaBuf::orphan() first.
class Exporter {
 public:
  virtual ~Exporter() = default;
  /// The function whose BAR this is.
  [[nodiscard]] virtual Bdf function() const = 0;
  /// The VM file that the exporting device is associated with, or null. KVM
  /// refuses a memslot whose exporter belongs to another VM. Borrowed.
  [[nodiscard]] virtual object::File* vm_file() = 0;
  /// The last descriptor is gone; `buffer` dies when this returns. Not called
  /// after orphan(). Called without locks: may take memory_lock.
  virtual void released(DmaBuf& buffer) = 0;
};

/// Who uses the memory (Linux: struct dma_buf_attach_ops).
class Importer {
 public:
  virtual ~Importer() = default;
  /// Whether invalidated() makes this importer stop using the memory
  /// (dma_buf_attach_revocable()). Those that cannot are refused.
  [[nodiscard]] virtual bool revocable() const { return true; }
  /// Whether it reaches MMIO of another device (allow_peer2peer).
  [[nodiscard]] virtual bool peer2peer() const { return true; }
  /// move_notify: what was mapped or looked up is no longer valid. With a
  /// revoke it must be unused when this returns, or DmaBuf::unmap()ed soon.
  /// Called with the reservation lock held; also when a revoke is undone.
  virtual void invalidated(Attachment& attachment) = 0;
  /// What was looked up and is not in use yet may no longer be used; what is in
  /// use stays (DmaBuf::hold()). Called with the reservation lock held.
  virtual void held(Attachment& /*attachment*/) {}
};

/// BAR ranges of an assigned device, exported as a file.
/// Source: Linux drivers/dma-buf/dma-buf.c and, for revoke,
/// drivers/vfio/pci/vfio_pci_dmabuf.c, struct vfio_pci_dma_buf.
///
/// Lifetime: an open file. Attachments are gone before the last reference.
/// Locking: resv(), rank kDmaResv, over attachments and `revoked_`. Functions
/// marked TEEIO_REQUIRES(resv()) leave it to the caller, as in Linux, so that an
/// importer's look-up and use can be one step for a revoke.
class DmaBuf final : public object::File {
 public:
  enum class State : std::uint8_t { kAvailable, kRevoked };

  /// dma_buf_export(). `ranges` are not empty. A device whose memory is off
  /// exports in state kRevoked (vfio_pci_core_feature_dma_buf()).
  [[nodiscard]] static object::Ref<DmaBuf> create(Exporter& exporter, std::vector<PhysRange> ranges,
                                                  State state);

  /// dma_buf_dynamic_attach(). Errors: EOPNOTSUPP when the importer is not peer
  /// to peer or not revocable; ENODEV while revoked. Linux reads the flag
  /// without the lock; here check and insertion are one step.
  Result<Attachment*> attach(Importer& importer) TEEIO_EXCLUDES(resv_);
  /// dma_buf_detach(). Precondition: unmapped and unpinned.
  void detach(Attachment& attachment) TEEIO_EXCLUDES(resv_);

  /// dma_buf_pin(), dma_buf_unpin(): a promise that the exporter will not move
  /// the memory. A revoke is no move, so a pin does not hold it up.
  void pin(Attachment& attachment) TEEIO_REQUIRES(resv_);
  void unpin(Attachment& attachment) TEEIO_REQUIRES(resv_);

  /// dma_buf_map_attachment(): all ranges, to be given back with unmap(), which
  /// a revoke waits for. Errors: ENODEV while revoked.
  Result<std::span<const PhysRange>> map(Attachment& attachment) TEEIO_REQUIRES(resv_);
  void unmap(Attachment& attachment) TEEIO_REQUIRES(resv_);

  /// vfio_pci_dma_buf_iommufd_map(): the one range, without a count; valid until
  /// invalidated(). Errors: ENODEV while revoked; EOPNOTSUPP with more ranges.
  Result<PhysRange> single_range(Attachment& attachment) TEEIO_REQUIRES(resv_);

  /// get_pfn of the 2025 RFC: where the byte at `offset` is, and how many bytes
  /// follow it without a gap. Without a count; valid until invalidated().
  /// Errors: ENODEV while revoked; EINVAL when `offset` lies outside.
  Result<PhysRange> lookup(Attachment& attachment, std::uint64_t offset) TEEIO_REQUIRES(resv_);

  /// From its return no importer can start to use the memory; those that do go on
  /// until revoke(). For an exporter that must keep what is mapped for a while.
  /// Idempotent. The caller holds memory_lock (write) and a reference.
  void hold() TEEIO_EXCLUDES(resv_);
  /// vfio_pci_dma_buf_move(true): from its return no importer uses the memory
  /// and none can start to. Idempotent. The caller holds memory_lock (write)
  /// and a reference.
  void revoke() TEEIO_EXCLUDES(resv_);
  /// vfio_pci_dma_buf_move(false): new mappings are possible again; importers
  /// that stopped for good (iommufd) stay stopped. Idempotent.
  void restore() TEEIO_EXCLUDES(resv_);

  /// The exporter goes away first (vfio_pci_dma_buf_cleanup()): revoked for
  /// good. The caller holds a reference, so no release is in flight.
  void orphan() TEEIO_EXCLUDES(resv_);

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// Null once orphaned. Stable under resv().
  [[nodiscard]] Exporter* exporter() const TEEIO_REQUIRES(resv_) { return exporter_; }
  [[nodiscard]] bool revoked() const TEEIO_REQUIRES(resv_) { return revoked_; }
  [[nodiscard]] schedule::Mutex& resv() TEEIO_RETURN_CAPABILITY(resv_) { return resv_; }

 private:
  friend class Attachment;
  DmaBuf(Exporter& exporter, std::vector<PhysRange> ranges, State state);
  ~DmaBuf() override = default;
  void release() override;
  void invalidate_mappings() TEEIO_REQUIRES(resv_);

  const std::vector<PhysRange> ranges_;
  const std::uint64_t size_bytes_;
  mutable schedule::Mutex resv_{schedule::Rank::kDmaResv};
  schedule::Condition unmapped_;  ///< vfio_pci_dma_buf::comp: mappings_ fell to zero
  Exporter* exporter_ TEEIO_GUARDED_BY(resv_);
  bool revoked_ TEEIO_GUARDED_BY(resv_);
  bool held_ TEEIO_GUARDED_BY(resv_) = false;           ///< revoked_, and importers not told yet
  std::uint32_t mappings_ TEEIO_GUARDED_BY(resv_) = 0;  ///< vfio_pci_dma_buf::kref - 1
  bool completed_ TEEIO_GUARDED_BY(resv_) = false;      ///< by a revoke before
  std::vector<Attachment*> attachments_ TEEIO_GUARDED_BY(resv_);  ///< newest last
};

/// One importer's hold on a DmaBuf (Linux: struct dma_buf_attachment).
///
/// Lifetime: from DmaBuf::attach() to DmaBuf::detach(); does not keep the
/// DmaBuf alive, the importer holds a Ref for that.
class Attachment {
 public:
  [[nodiscard]] DmaBuf& buffer() const { return buffer_; }
  [[nodiscard]] Importer& importer() const { return importer_; }

 private:
  friend class DmaBuf;
  Attachment(DmaBuf& buffer, Importer& importer) : buffer_(buffer), importer_(importer) {}
  DmaBuf& buffer_;
  Importer& importer_;
  std::uint32_t mappings_ TEEIO_GUARDED_BY(buffer_.resv_) = 0;
  std::uint32_t pins_ TEEIO_GUARDED_BY(buffer_.resv_) = 0;
};

}  // namespace teeio::dmabuf
