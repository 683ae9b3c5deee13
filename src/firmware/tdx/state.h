#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "base/types.h"
#include "firmware/tdx/devices.h"
#include "firmware/tdx/locks.h"
#include "firmware/tdx/module.h"
#include "firmware/tdx/pamt.h"
#include "firmware/tdx/sept.h"
#include "firmware/tdx/spdm_watcher.h"
#include "firmware/tdx/td.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::tdx {

/// A private key's way: VPFLUSHDONE, CACHE.WB, FREEID.
enum class HkidState : std::uint8_t { kFree, kAssigned, kFlushedVps, kWrittenBack };

/// All that the module knows. The mutex covers everything, for the instants in
/// which a leaf looks or changes; what a leaf relies on while it gives way is
/// what it holds by TryLocks.
struct State {
  State(hw::PhysicalMemory& m, object::Trace& t, Platform p);

  hw::PhysicalMemory& memory;
  object::Trace& trace;
  Injection injection;
  Api api;
  const spdm::ChannelSetup channels;
  SpdmWatcher watcher{trace};
  schedule::Mutex mutex{schedule::Rank::kFirmware};

  TryLock extension;
  TryLock kot;
  TryLock wbcache;  ///< of CACHE.WB, on a machine of one package
  Pamt pamt;
  std::vector<HkidState> hkids;  ///< by HKID; [0] is shared memory's
  std::map<std::uint64_t, Td> tds;
  std::map<std::uint64_t, Vcpu> vcpus;
  std::vector<IommuState> iommus;
  Devifmt devifmt;
  Mmiomt mmiomt;
  using DmarKey = std::tuple<std::uint16_t, std::uint16_t, std::uint32_t, std::uint8_t>;
  std::map<DmarKey, DmarEntry> dmar;

  /// A page becomes the module's: typed, owned, zeroed under `key`.
  void take_page(Hpa page, PageType type, Hpa owner, hw::KeyId key);
  /// As take_page(): a page for the tables of an IOMMU, or for its SPDM sessions and IDE
  /// streams. Source: tdxio branch, PT_IOMMU_MT with the IOMMU as owner.
  void take_iommu_page(std::uint32_t iommu, Hpa page);
  /// Back to the host, without its plain text: the host's key never made it.
  void release_page(Hpa page);
  [[nodiscard]] bool is_ram(Hpa page);

  [[nodiscard]] Td* find_td(Hpa tdr);
  [[nodiscard]] Vcpu* find_vcpu(Hpa tdvpr);
  [[nodiscard]] Devif* find_devif(FunctionId function);
  [[nodiscard]] IdeStream& stream_of(const Devif& devif);
  [[nodiscard]] static bool needs_tracking(const Td& td) {
    return td.op_state == OpState::kRunnable;
  }
};

}  // namespace teeio::tdx
