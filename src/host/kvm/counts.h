#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm {

/// What is counted of a vCPU (Linux: struct kvm_vcpu_stat), in the order of kVcpuCountNames.
enum class VcpuCount : std::uint8_t {
  kExits,        ///< the guest was left
  kIoExits,      ///< for a port
  kMmioExits,    ///< for the VMM to emulate a load or store
  kHaltExits,    ///< by HLT
  kSignalExits,  ///< KVM_RUN ended for a signal
  kHypercalls,   ///< by VMCALL of an ordinary guest
  kFaults,       ///< for a page that was not mapped
};
inline constexpr std::array<std::string_view, 7> kVcpuCountNames = {
    "exits", "io_exits", "mmio_exits", "halt_exits", "signal_exits", "hypercalls", "pf_taken"};

/// Counts of one vCPU, since it was made.
/// Locking: its own, no scheduling point.
class VcpuCounts {
 public:
  using Values = std::array<std::uint64_t, kVcpuCountNames.size()>;
  void add(VcpuCount what) {
    turn_.touch(0, schedule::Touch::How::kUpdate);
    const schedule::RawLockGuard lock(lock_);
    ++values_.at(static_cast<std::size_t>(what));
  }
  [[nodiscard]] Values values() {
    turn_.touch(0, schedule::Touch::How::kRead);
    const schedule::RawLockGuard lock(lock_);
    return values_;
  }

 private:
  const schedule::Turn turn_{"vCPU counts"};
  schedule::RawLock lock_;
  Values values_ TEEIO_GUARDED_BY(lock_){};
};

}  // namespace teeio::kvm
