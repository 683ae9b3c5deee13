#pragma once

#include <cstdint>

namespace teeio::tdx {

/// One of the module's own locks: tried once, never waited for, held to the end
/// of the leaf. Guarded by State::mutex, like everything else here.
///
/// Source: tdxio branch, src/common/helpers (sharex and sharex-HP locks): a host
/// that finds a host-priority lock taken leaves a mark, and a guest that meets
/// the mark gives way until the host has had the lock.
///
/// The bit of a DMAR entry has no counterpart: host leaves take it while they hold their
/// IOMMU's lock, and guest leaves not at all, so nobody ever finds one taken.
class TryLock {
 public:
  [[nodiscard]] bool try_shared() {
    if (exclusive_) return false;
    ++shared_;
    return true;
  }
  [[nodiscard]] bool try_exclusive() {
    if (exclusive_ || shared_ != 0) return false;
    exclusive_ = true;
    return true;
  }
  void release_shared() { --shared_; }
  void release_exclusive() { exclusive_ = false; }

  void set_host_waits(bool waits) { host_waits_ = waits; }
  [[nodiscard]] bool taken() const { return exclusive_ || shared_ != 0; }
  [[nodiscard]] bool host_waits() const { return host_waits_; }
  [[nodiscard]] bool idle() const { return !exclusive_ && shared_ == 0 && !host_waits_; }

 private:
  std::uint32_t shared_ = 0;
  bool exclusive_ = false;
  bool host_waits_ = false;
};

}  // namespace teeio::tdx
