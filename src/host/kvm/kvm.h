#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "host/kvm/vm.h"
#include "hw/cpu.h"
#include "hw/physical_memory.h"
#include "object/file.h"
#include "object/trace.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// KVM itself: what all VMs of a machine share.
///
/// Lifetime: one a machine, outlives its VMs.
class Kvm {
 public:
  Kvm(hw::PhysicalMemory& memory, hw::CpuFactory* cpus, object::Trace& trace)
      : memory_(memory), cpus_(cpus), trace_(trace) {}

  /// Adds a VM type beside the ordinary one (type 0). Before the first VM.
  void add_type(VmTypeFactory& factory) { types_.push_back(&factory); }
  /// KVM_CAP_VM_TYPES: a bit for each type.
  [[nodiscard]] std::uint64_t types() const;

  /// KVM_CREATE_VM: a new VM's file. Errors: EINVAL for a type not offered.
  Result<object::Ref<object::File>> create_vm(std::uint64_t type, std::uint64_t mm_id);

  /// What stands for a VM of the host's own KVM, as long as anybody holds it: the same for
  /// each of its descriptors. `mm_id`: whose VM it is.
  Result<object::Ref<object::File>> host_vm(object::Ref<mm::ForeignFile> real, std::uint64_t mm_id)
      TEEIO_EXCLUDES(host_vms_lock_);
  void forget_host_vm(const VmFile& file) TEEIO_EXCLUDES(host_vms_lock_);

  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  /// Null on a machine without a guest engine.
  [[nodiscard]] hw::CpuFactory* cpus() { return cpus_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }
  [[nodiscard]] TakenEventFds& taken_event_fds() { return taken_event_fds_; }

 private:
  /// With a reference of its own; null when there is none.
  object::Ref<object::File> known_host_vm(const mm::ForeignFile& real)
      TEEIO_REQUIRES(host_vms_lock_);

  hw::PhysicalMemory& memory_;
  hw::CpuFactory* const cpus_;
  object::Trace& trace_;
  std::vector<VmTypeFactory*> types_;
  schedule::Atomic<std::uint32_t> next_number_{1};
  TakenEventFds taken_event_fds_;
  schedule::Mutex host_vms_lock_{schedule::Rank::kLeaf};
  std::vector<VmFile*> host_vms_ TEEIO_GUARDED_BY(host_vms_lock_);
};

/// /dev/kvm.
class KvmFile final : public object::File {
 public:
  explicit KvmFile(Kvm& kvm) : File(object::FileKind::kKvm), kvm_(kvm) {}
  [[nodiscard]] Kvm& kvm() { return kvm_; }

 private:
  void release() override {}
  Kvm& kvm_;
};

}  // namespace teeio::kvm
