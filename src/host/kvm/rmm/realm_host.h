#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "firmware/rmm/rmm.h"
#include "hw/cpu.h"
#include "hw/physical_memory.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// What KVM's realms and the TSM driver share: the monitor, granules lent to it,
/// and whose VDEV a piece of MMIO is (DEV_MAP wants to be told).
///
/// Lifetime: one a machine.
class RealmHost {
 public:
  /// `cpus`: what runs realms' code; null: nothing does.
  RealmHost(rmm::Rmm& rmm, hw::PhysicalMemory& memory, object::Trace& trace,
            hw::CpuFactory* cpus = nullptr)
      : rmm_(rmm), memory_(memory), trace_(trace), cpus_(cpus) {}

  [[nodiscard]] rmm::Rmm& rmm() { return rmm_; }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }
  [[nodiscard]] hw::CpuFactory* cpus() const { return cpus_; }

  /// A page of RAM, DELEGATED. Errors: ENOMEM.
  Result<Hpa> alloc_granule();
  /// Takes it back; one that the monitor keeps is leaked, and said to be.
  void free_granule(Hpa granule);
  /// Of memory and of device memory. Errors: as rmi_error().
  Result<void> delegate(Hpa granule);
  bool undelegate(Hpa granule);

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

  /// Drives what a stateful command began to its end, of a busy monitor too: gives the memory
  /// that it asks for, takes what it gives back. Gives the command's own result. A page that
  /// cannot be had ends in BLOCKED, and the operation waits for ever. What the monitor keeps is
  /// told as leaked: how much, or 1 where only the monitor knows.
  rmm::RmiResult finish(rmm::RmiResult begun);

  /// A REC, with the page of parameters that it needs for a moment. Errors: ENOMEM for the
  /// page; what the monitor says is in the result.
  Result<rmm::RmiResult> create_rec(Hpa rd, Hpa rec, const rmm::RecParams& params);

  /// SMMUs that realms' devices are behind become active, as a kernel's SMMU driver does
  /// it at boot. Errors: as rmi_error().
  Result<void> start_smmus(const std::vector<Hpa>& psmmus);
  /// The level-2 stream table around a requester ID: made for its first user, given back with
  /// its last. One that the monitor does not give back stays, is used again, and asked for again.
  /// Source: Linux's posted arm-smmu-v3-realm.c, arm_realm_smmu_v3_vdevice_init() and
  /// _destroy(), which ask the monitor instead of counting. Errors: as rmi_error().
  Result<void> use_stream_table(Hpa psmmu, std::uint16_t rid) TEEIO_EXCLUDES(tables_lock_);
  void drop_stream_table(Hpa psmmu, std::uint16_t rid) TEEIO_EXCLUDES(tables_lock_);
  /// Whether two functions of an SMMU have their entries in one such table.
  [[nodiscard]] static bool share_stream_table(std::uint16_t one, std::uint16_t other);

  /// A VDEV and whose it is, by which its realm's requests and its MMIO are told apart.
  struct Known {
    Hpa vdev, rd;
    std::uint64_t id;
    std::vector<rmm::PaRange> ranges;
  };
  void add_vdev(Known vdev) TEEIO_EXCLUDES(lock_);
  void remove_vdev(Hpa vdev) TEEIO_EXCLUDES(lock_);
  [[nodiscard]] std::optional<Hpa> vdev_of(Hpa address) TEEIO_EXCLUDES(lock_);
  [[nodiscard]] std::optional<Hpa> vdev_named(std::uint64_t id, Hpa rd) TEEIO_EXCLUDES(lock_);

 private:
  static constexpr unsigned kMaxTries = 10'000;
  Result<std::uint64_t> fill_list(Hpa list, const rmm::RmiResult& wants);
  Result<void> delegate_run(Hpa first, std::uint64_t count);
  Result<Hpa> alloc_run(std::uint64_t count);
  /// Takes back what `count` descriptors name, but for the first `kept` granules; how many.
  std::uint64_t take_list(Hpa list, std::uint64_t count, std::uint64_t kept);
  /// Gives an operation what it wants, as far as the monitor takes it; `given` counts that.
  rmm::RmiResult donate(std::uint64_t handle, Hpa list, const rmm::RmiResult& wants,
                        std::uint64_t& given);

  rmm::Rmm& rmm_;
  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  hw::CpuFactory* const cpus_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::map<Hpa, Known> vdevs_ TEEIO_GUARDED_BY(lock_);  ///< by VDEV
  struct Mmio {
    Hpa top, vdev;
  };
  std::map<Hpa, Mmio> mmio_ TEEIO_GUARDED_BY(lock_);  ///< by base; of VDEVs
  std::map<std::pair<Hpa, std::uint64_t>, Hpa> named_ TEEIO_GUARDED_BY(lock_);  ///< by realm, id
  struct StreamTable {
    unsigned users = 0;
    bool exists = false;  ///< in the monitor
  };
  /// smmu->realm_mutex: held over what makes or unmakes a table, so that nobody finds half of one.
  schedule::Mutex tables_lock_{schedule::Rank::kTsmDriver};
  /// By SMMU and first stream ID.
  std::map<std::pair<std::uint64_t, std::uint64_t>, StreamTable> tables_
      TEEIO_GUARDED_BY(tables_lock_);
};

/// The errno of a refused command: EINVAL for INPUT, EBUSY for BUSY and for
/// GRANULE (unmap first), ENOMEM for BLOCKED, EIO else.
[[nodiscard]] Error rmi_error(const rmm::RmiResult& result, std::string_view why);

}  // namespace teeio::kvm
