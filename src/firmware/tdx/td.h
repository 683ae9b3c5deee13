#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/types.h"
#include "crypto/hash.h"
#include "firmware/tdx/locks.h"
#include "firmware/tdx/types.h"
#include "hw/physical_memory.h"

namespace teeio::tdx {

enum class LifeCycle : std::uint8_t { kHkidAssigned, kKeysConfigured, kBlocked, kTeardown };

/// Migration states are never reached: no leaf leads to them.
enum class OpState : std::uint8_t { kUninitialized = 0, kInitialized = 1, kRunnable = 2 };

/// SHA-384, as all that TDs are measured by.
using Measurement = std::array<std::byte, 48>;

/// A TD's part in one IOMMU. Source: tdxio's TDCS, per-IOMMU fields.
struct TdIommu {
  std::uint32_t pasidte_ref_cnt = 0;
  std::uint64_t inv_epoch = 0;  ///< the epoch whose IOTLB invalidation is done
  bool inv_req = false;
};

/// Invalidations that a guest has asked for, until the IOMMUs of its devices are through.
/// Source: tdxio's TDCS, req_active to status_complete_data, and td_inv_req_buff.
struct GuestInvalidation {
  struct Status {
    Gpa gpa;
    std::uint32_t data;
  };
  /// An IOMMU's way: what its queue has got, and what PROCESS has seen passed.
  struct Part {
    std::uint8_t committed = 0, complete = 0;
  };
  bool active = false;
  std::vector<InvalidationDescriptor> descriptors{};  ///< without the wait
  std::optional<Status> status{};                     ///< what the wait is to write
  std::map<std::uint32_t, Part> left{};               ///< IOMMUs that are not through
};

/// One TD: its TDR and TDCS.
struct Td {
  Hpa tdr{0};
  std::uint16_t hkid = 0;
  std::uint32_t trace_vm = 0;
  LifeCycle life_cycle = LifeCycle::kHkidAssigned;
  OpState op_state = OpState::kUninitialized;
  bool fatal = false;
  TdParameters parameters;
  std::vector<Hpa> tdcs;
  Hpa sept_root{0};
  std::uint64_t mmio_offset = 0;  ///< added to HPAs in interface reports, page aligned
  std::uint32_t vcpus = 0;
  std::uint32_t vcpus_associated = 0;
  std::map<std::uint32_t, std::uint32_t> x2apic_ids;  ///< by index, of version 1's VP.INIT

  std::uint64_t chldcnt = 0;        ///< gates the reclaim of the TDR page
  std::uint32_t devif_ref_cnt = 0;  ///< gates VPFLUSHDONE

  crypto::RunningHash built{crypto::HashAlgorithm::kSha384};  ///< what MRTD will be of
  Measurement mrtd{};                                         ///< since MR.FINALIZE
  std::array<Measurement, 4> rtmrs{};                         ///< what the guest measured
  TryLock rtmr_lock;

  // TLB and IOTLB tracking.
  std::uint64_t epoch = 2;                        ///< td_epoch
  std::array<std::uint32_t, 2> vcpu_refs{};       ///< vCPUs inside, by the epoch's low bit
  std::map<std::uint64_t, std::uint64_t> bepoch;  ///< by S-EPT entry: the epoch when blocked
  std::map<std::uint32_t, TdIommu> iommus;
  std::uint32_t curr_iotlb_cnt = 0;
  std::uint32_t prev_iotlb_cnt = 0;
  GuestInvalidation asked;
  TryLock tdinv_lock;  ///< of what the guest asked for, with host priority

  TryLock sept_tree_lock;
  TryLock epoch_lock;
  std::map<std::uint64_t, TryLock> sept_entry_locks;

  [[nodiscard]] hw::KeyId key() const { return hw::KeyId{hkid}; }
  /// The trusted IOMMU side's domain of this TD's DMA.
  [[nodiscard]] std::uint16_t domain() const { return hkid; }

  /// No vCPU can hold a translation from before `blocked_in`.
  [[nodiscard]] bool tlb_tracked(std::uint64_t blocked_in) const {
    if (blocked_in + 1 < epoch) return true;
    return blocked_in + 1 == epoch && vcpu_refs[blocked_in & 1U] == 0;
  }
  /// Nor can an IOMMU.
  [[nodiscard]] bool iotlb_tracked(std::uint64_t blocked_in) const {
    if (blocked_in + 1 < epoch) return true;
    return blocked_in + 1 == epoch && prev_iotlb_cnt == 0;
  }
};

/// One vCPU: its TDVPS. Its lock is that of the TDVPR page.
struct Vcpu {
  Hpa tdvpr{0};
  Hpa tdr{0};
  std::vector<Hpa> pages;
  std::uint32_t index = 0;
  bool initialized = false;
  bool associated = false;      ///< may have state on a CPU: since INIT or a run, until VP.FLUSH
  std::uint32_t processor = 0;  ///< on which
  bool inside = false;          ///< between begin_vp_enter() and end_vp_enter()
  std::uint64_t entered_epoch = 0;
  std::uint64_t initial_rcx = 0;
};

}  // namespace teeio::tdx
