#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/types.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "object/trace.h"

namespace teeio::hw {

/// An IOMMU in VT-d scalable mode: two root tables, one for T=0 and one for
/// T=1 requests, walked entry by entry in physical memory, and an IOTLB that
/// holds what was walked until it is invalidated.
/// Source: Intel VT-d spec 3.4.3 (scalable mode), 9.1–9.8 (table formats);
/// TDX Connect: the trusted root table is written by the TDX module only.
///
/// Table formats (little-endian u64s; only the bits named are used):
///  root table      4 KiB, 16 bytes a bus: two u64 (lower: devices 0–15, upper),
///                  bit 0 present, 51:12 context table
///  context table   4 KiB, 32 bytes (4 u64) a device/function (128 entries):
///                  q0 bit 0 present, 3 PASIDE, 11:9 PDTS (the directory has
///                  2^(n+7) entries), 51:12 PASID directory
///  PASID directory 8 bytes an entry: bit 0 present, 51:12 PASID table
///  PASID entry     64 bytes (8 u64): q0 bit 0 present, 8:6 PGTT (2 second-stage
///                  only, 3 nested, 4 pass-through), 4:2 AW (2: 48 bits, 4
///                  levels), 9 SSADE, 51:12 second-stage table; q1 15:0 domain
///                  id; q2 51:12 first-stage table of a nested one
///  second stage    8 bytes: bit 0 read, 1 write, 7 page size, 51:12 address;
///                  with SSADE also 8 accessed, 9 dirty, which walks set
///  first stage     8 bytes, four levels: bit 0 present, 1 write, 2 user, 5
///                  accessed, 6 dirty, 7 page size, 51:12 address; addresses of
///                  entries and pages are the second stage's input
///
/// Requests without PASID use PASID 0 (RID_PASID). All requests are a user's, none
/// executes. On the trusted side nothing is nested.
///
/// Caches: what a walk found is served until it is invalidated, also after a
/// table in memory has changed. A not-present entry is never cached, and an
/// access that a cached entry does not permit is walked again, so a table may
/// be widened without an invalidation (VT-d 6.1, caching mode 0). So is a write
/// through an entry whose dirty bit was clear: it sets the bit.
///
/// Locking: any task. The inner lock is book-keeping and no scheduling point;
/// translate() and the commands below are (a part of one turn a
/// side), so an explorer orders them.
class VtdIommu final : public Iommu {
 public:
  /// Tables of the T=1 side may lie in frames that carry any key, as with the
  /// hardware, which knows the key of each; those of the T=0 side are shared.
  VtdIommu(PhysicalMemory& memory, object::Trace& trace, std::uint32_t id);
  ~VtdIommu() override;

  [[nodiscard]] std::uint32_t id() const override;

  /// Points one side at its root table; nullopt turns that side off. An off
  /// shared side passes DMA through untranslated (VT-d's TE=0); an off trusted
  /// side refuses it.
  void set_root(TBit side, std::optional<Hpa> root_table);
  [[nodiscard]] std::optional<Hpa> root(TBit side) const;

  /// Walks, or finds in the IOTLB. Faults have the reasons of VT-d 7.1.3, "Fault
  /// reason encodings".
  std::expected<Translation, IommuFault> translate(Requester from, TBit t, Iova address,
                                                   DmaAccess access) override;
  /// Goes on over pages in the IOTLB.
  std::expected<Translation, IommuFault> translate_run(Requester from, TBit t, Iova address,
                                                       std::uint64_t size_bytes,
                                                       DmaAccess access) override;

  /// The key with which requests of a domain reach memory: the TDX module gives
  /// a trusted domain its TD's key and takes it away with kShared. A trusted
  /// domain without a key is refused. At addresses from `shared_from` on, the guest's shared
  /// bit, memory is reached without a key. Drops the domain's translations.
  void set_domain_key(TBit side, std::uint16_t domain, KeyId key,
                      std::optional<Iova> shared_from = std::nullopt);

  // Invalidation (VT-d 6.5.2): what software must ask for after it has changed
  // a table in memory; until then the old translation is served. Each returns when
  // requests that had been translated before it have ended (DR, DW).
  void invalidate_all(TBit side);
  /// Context-cache invalidation, global: context and PASID caches, not the IOTLB.
  /// Source: VT-d 6.5.2.1.
  void invalidate_contexts(TBit side);
  void invalidate_domain(TBit side, std::uint16_t domain);
  /// Page-selective within a domain: addresses of its second stage. Of nested translations
  /// nobody knows which came from there: all of the domain's go.
  void invalidate_range(TBit side, std::uint16_t domain, Iova start, std::uint64_t size_bytes);
  /// PASID-based IOTLB invalidation: a first stage's pages that meet [first, last], or all of
  /// them. Source: VT-d 6.5.2.4.
  void invalidate_pasid_range(TBit side, std::uint16_t domain, Pasid pasid, Iova first, Iova last);
  void invalidate_pasid(TBit side, std::uint16_t domain, Pasid pasid);
  /// PASID-cache invalidation, PASID-selective within a domain. Source: VT-d 6.5.2.2.
  void invalidate_pasid_cache(TBit side, std::uint16_t domain, Pasid pasid);
  /// Context and PASID caches of one function, all its PASIDs; not the IOTLB, which is by
  /// domain: software that gives a domain id other tables asks for both.
  void invalidate_function(TBit side, std::uint16_t rid);
  /// Grows with each command above, set_root() and set_domain_key().
  [[nodiscard]] std::uint64_t generation(TBit side) const override;

  /// The last fault, for fault reporting; counts are kept since boot.
  [[nodiscard]] std::optional<IommuFault> last_fault() const;
  [[nodiscard]] std::uint64_t fault_count() const;

 private:
  template <class Change>
  void command(TBit side, schedule::Touch::How how, Change change);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::hw
