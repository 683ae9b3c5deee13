#pragma once

#include <cstdint>
#include <tuple>

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
#include "schedule/monitor.h"
#include "schedule/recorded_map.h"

namespace teeio::tdx {

/// A private key's way: VPFLUSHDONE, CACHE.WB, FREEID.
enum class HkidState : std::uint8_t { kFree, kAssigned, kFlushedVps, kWrittenBack };

/// All that the module knows. The mutex covers everything, for the instants in
/// which a leaf looks or changes; what a leaf relies on while it gives way is
/// what it holds by TryLocks. Its tables record who gets to which of their
/// elements, so that the explorer knows which leaves commute: what hangs on a TD,
/// its secure EPT included, is one element, and so is an IOMMU but for its sessions
/// and streams; DMAR tables in memory are their entries here.
struct State {
  State(hw::PhysicalMemory& m, object::Trace& t, Platform p);

  hw::PhysicalMemory& memory;
  object::Trace& trace;
  Injection injection;
  Api api;
  const spdm::ChannelSetup channels;
  SpdmWatcher watcher{trace};
  schedule::Monitor mutex{schedule::Rank::kFirmware};

  const schedule::Recorded locks{&mutex, kModuleLocks};  ///< of the next three
  TryLock extension;
  TryLock kot;
  TryLock wbcache;  ///< of CACHE.WB, on a machine of one package
  Pamt pamt{{&mutex, kPages}};
  schedule::RecordedVector<HkidState> hkids{{&mutex, kHkids}};  ///< by HKID; [0] is shared memory's
  schedule::RecordedMap<std::uint64_t, Td> tds{{&mutex, kTds}};
  schedule::RecordedMap<std::uint64_t, Vcpu> vcpus{{&mutex, kVcpus}};
  schedule::RecordedVector<IommuState> iommus{{&mutex, kIommus}};
  Devifmt devifmt{mutex};
  Mmiomt mmiomt{mutex};
  using DmarKey = std::tuple<std::uint16_t, std::uint16_t, std::uint32_t, std::uint8_t>;
  schedule::RecordedMap<DmarKey, DmarEntry> dmar{{&mutex, kDmar}};

  /// A page becomes the module's: typed, owned, zeroed under `key`.
  void take_page(Hpa page, PageType type, Hpa owner, hw::KeyId key);
  /// As take_page(): a page for the tables of an IOMMU, or for its SPDM sessions and IDE
  /// streams. Source: tdxio branch, PT_IOMMU_MT with the IOMMU as owner.
  void take_iommu_page(std::uint32_t iommu, Hpa page);
  /// Back to the host, without its plain text: the host's key never made it.
  void release_page(Hpa page);
  [[nodiscard]] bool is_ram(Hpa page);

  /// One of the module's own locks, for a try.
  [[nodiscard]] TryLock& to_take(TryLock State::* lock) { return touched(lock, How::kWrite); }
  [[nodiscard]] TryLock& to_share(TryLock State::* lock) { return touched(lock, How::kRead); }

  [[nodiscard]] Td* find_td(Hpa tdr);
  /// For one who only reads it.
  [[nodiscard]] const Td* look_at_td(Hpa tdr) const;
  [[nodiscard]] Vcpu* find_vcpu(Hpa tdvpr);
  [[nodiscard]] Devif* find_devif(FunctionId function);
  [[nodiscard]] IdeStream& stream_of(const Devif& devif);
  [[nodiscard]] static bool needs_tracking(const Td& td) {
    return td.op_state == OpState::kRunnable;
  }

 private:
  using How = schedule::Touch::How;
  TryLock& touched(TryLock State::* lock, How how) {
    const std::uint64_t place = lock == &State::extension ? 0 : lock == &State::kot ? 1 : 2;
    locks.touch(place, how);
    return this->*lock;
  }
};

}  // namespace teeio::tdx
