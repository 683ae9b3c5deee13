#pragma once

#include <map>
#include <optional>

#include "base/result.h"
#include "firmware/rmm/rmm.h"
#include "hw/physical_memory.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// What KVM's realms and the TSM driver share: the monitor, granules lent to it,
/// and whose VDEV a piece of MMIO is (DEV_MAP wants to be told).
///
/// Lifetime: one a machine.
class RealmHost {
 public:
  RealmHost(rmm::Rmm& rmm, hw::PhysicalMemory& memory, object::Trace& trace)
      : rmm_(rmm), memory_(memory), trace_(trace) {}

  [[nodiscard]] rmm::Rmm& rmm() { return rmm_; }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }

  /// A page of RAM, DELEGATED. Errors: ENOMEM.
  Result<Hpa> alloc_granule();
  /// Takes it back; one that the monitor keeps is leaked, and said to be.
  void free_granule(Hpa granule);

  /// Makes a command until the monitor is not busy, or kMaxTries were in vain: for what
  /// must not fail. Source: Linux's asm/rmi_cmds.h as posted, rmi_smccc_invoke(), asks again
  /// on RMI_BUSY; set-up and guests' requests report EBUSY, as _do_dev_communicate() of the
  /// posted arm-cca-host/rmi-da.c does.
  template <class Command>
  static rmm::RmiResult insist(Command command) {
    for (unsigned tries = 0;; ++tries) {
      const rmm::RmiResult result = command();
      if (result.code != rmm::Code::kBusy || tries == kMaxTries) return result;
    }
  }

  void add_mmio(const rmm::PaRange& range, Hpa vdev) TEEIO_EXCLUDES(lock_);
  void remove_mmio(Hpa vdev) TEEIO_EXCLUDES(lock_);
  [[nodiscard]] std::optional<Hpa> vdev_of(Hpa address) TEEIO_EXCLUDES(lock_);

 private:
  static constexpr unsigned kMaxTries = 10'000;
  struct Mmio {
    Hpa top;
    Hpa vdev;
  };
  rmm::Rmm& rmm_;
  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::map<std::uint64_t, Mmio> mmio_ TEEIO_GUARDED_BY(lock_);  ///< by base
};

/// The errno of a refused command: EINVAL for INPUT, EBUSY for BUSY and for
/// GRANULE (unmap first), EIO else.
[[nodiscard]] Error rmi_error(const rmm::RmiResult& result, std::string_view why);

}  // namespace teeio::kvm
