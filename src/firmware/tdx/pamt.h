#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/types.h"
#include "firmware/tdx/locks.h"
#include "schedule/recorded_map.h"

namespace teeio::tdx {

/// What a 4 KiB page of RAM is to the module. Source: TDX module base spec,
/// "PAMT page types", and tdxio's pamt_entry_t for the device kinds.
enum class PageType : std::uint8_t {
  kFree = 0,  ///< PT_NDA: the host's
  kRegular,   ///< a TD's private memory
  kTdr,
  kTdcx,
  kTdvpr,
  kTdvpx,
  kSept,
  kIommuMt,  ///< IOMMU set-up, DMAR tables, SPDM sessions, IDE streams
  kDevifmt,
  kDevifcs,  ///< and its two buffers
  kMmiomt,
};

struct PamtEntry {
  PageType type = PageType::kFree;
  Hpa owner{0};                  ///< the TDR of a TD's page
  std::uint32_t iommu = 0;       ///< kIommuMt
  std::uint32_t generation = 0;  ///< kIommuMt: of that IOMMU when the page was taken
  TryLock lock;
};

/// The physical address metadata table. An entry, once looked at, stays where it
/// is, so its lock can be held while the page changes hands. Each is a part of the
/// module's state (schedule/recorded_map.h).
class Pamt {
 public:
  explicit Pamt(schedule::Recorded recorded) : recorded_(recorded) {}

  [[nodiscard]] PamtEntry& entry(Hpa page) {
    recorded_.touch(raw(page), schedule::Touch::How::kWrite);
    return entries_[raw(page)];
  }
  [[nodiscard]] const PamtEntry* find(Hpa page) const {
    recorded_.touch(raw(page), schedule::Touch::How::kRead);
    const auto at = entries_.find(raw(page));
    return at == entries_.end() ? nullptr : &at->second;
  }
  /// The lock of an entry for try_shared() and nothing else: two of those commute.
  [[nodiscard]] TryLock& lock_to_share(Hpa page) {
    recorded_.touch(raw(page), schedule::Touch::How::kRead);
    return entries_[raw(page)].lock;
  }
  void take(Hpa page, PageType type, Hpa owner) {
    PamtEntry& e = entry(page);
    e.type = type;
    e.owner = owner;
    ++owned_;
  }
  void give_back(Hpa page) {
    PamtEntry& e = entry(page);
    e.type = PageType::kFree;
    e.owner = Hpa{0};
    --owned_;
  }
  /// For whoever has the whole state: how many it was in between is recorded nowhere.
  [[nodiscard]] std::uint64_t owned() const { return owned_; }

 private:
  const schedule::Recorded recorded_;
  /// By page: a leaf looks at half a dozen of them, among as many as all devices have.
  std::unordered_map<std::uint64_t, PamtEntry> entries_;
  std::uint64_t owned_ = 0;
};

}  // namespace teeio::tdx
