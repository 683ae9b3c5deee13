#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/tdx/tdx_host.h"
#include "host/kvm/vcpu.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_ops.h"
#include "schedule/condition.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm {

inline constexpr std::uint64_t kVmTypeTdx = 5;  ///< KVM_X86_TDX_VM

/// A trust domain. Source: Linux arch/x86/kvm/vmx/tdx.c; leaf orders from the
/// TDX module base specification.
///
/// Lifetime: owned by its Vm. The TD is built by init_vm(), a vCPU a time by
/// init_vcpu(), filled by init_mem_region(), and runs after finalize().
/// Locking: the build calls take build_lock_; the secure table's hooks run
/// under kvm->mmu_lock.
class TdxVm final : public VmOps {
 public:
  TdxVm(Vm& vm, TdxHost& host) : vm_(vm), host_(host) {}
  ~TdxVm() override;

  /// KVM_TDX_INIT_VM. Errors: EINVAL twice; ENOSPC no key id; ENOMEM; EIO.
  Result<void> init_vm(const tdx::TdParameters& parameters) TEEIO_EXCLUDES(build_lock_);
  /// Whether INIT_VM was, and FINALIZE_VM not yet.
  [[nodiscard]] bool is_being_built() const { return state_.load() == State::kInitialized; }
  /// KVM_TDX_INIT_VCPU. Errors: EINVAL before INIT_VM, after FINALIZE, twice.
  Result<void> init_vcpu(Vcpu& vcpu, std::uint64_t rcx) TEEIO_EXCLUDES(build_lock_);
  /// One page of KVM_TDX_INIT_MEM_REGION: `contents` becomes the private page
  /// at `gpa`. Errors: EINVAL without an initialised vCPU or after FINALIZE,
  /// without a guest_memfd slot or private attribute there; EIO when the page is
  /// there already, or the module refuses.
  Result<void> init_mem_page(Vcpu& vcpu, Gpa gpa, ByteView contents, bool measure)
      TEEIO_EXCLUDES(build_lock_);
  /// KVM_TDX_FINALIZE_VM. Errors: EINVAL before INIT_VM or twice; EBUSY; EIO.
  Result<void> finalize() TEEIO_EXCLUDES(build_lock_);
  /// The running task begins one of the calls above.
  static void begin_build_call();
  /// The status of the leaf that refused it; 0: none did (kvm_tdx_cmd.hw_error).
  [[nodiscard]] static std::uint64_t hw_error();

  [[nodiscard]] Hpa firmware_handle() const override { return tdr_; }
  [[nodiscard]] bool has_private_memory() const override { return true; }
  [[nodiscard]] std::optional<bool> is_private(Gpa address) const override {
    return (raw(address) & tdx::kSharedGpaBit) == 0;
  }
  [[nodiscard]] Gpa strip(Gpa address) const override {
    return Gpa{raw(address) & ~tdx::kSharedGpaBit};
  }
  [[nodiscard]] Gpa shared_alias(Gpa address) const override {
    return Gpa{raw(address) | tdx::kSharedGpaBit};
  }
  [[nodiscard]] bool guest_state_protected() const override { return true; }
  [[nodiscard]] bool has_secure_table() const override { return true; }
  Result<void> map_private(Gpa gpa, Hpa page, PageKind kind) override;
  Result<void> block_private(Gpa gpa, PageKind kind) override;
  Result<void> track() override;
  Result<void> remove_private(Gpa gpa, PageKind kind) override;
  [[nodiscard]] std::optional<hw::GuestMapping> lookup_private(Gpa page) override;
  [[nodiscard]] std::optional<x86::CpuidEntry> guest_cpuid(std::uint32_t function,
                                                           std::uint32_t index) const override;
  Result<void> vcpu_pre_run(Vcpu& vcpu) override;
  Result<void> vcpu_enter(Vcpu& vcpu) override;
  void vcpu_leave(Vcpu& vcpu, const hw::CpuExit& why) override;
  GuestCallAction guest_call(Vcpu& vcpu, VcpuExit& exit) override;
  std::optional<VcpuExit> complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                        const VcpuCompletion& completion) override;
  Result<void> guest_enables_dma(Bdf function) override;
  [[nodiscard]] TdxHost& host() { return host_; }
  /// What the TD's code would do, where none runs: TDCALLs of its first vCPU, which is in the
  /// TD meanwhile. Errors: ENXIO no vCPU; EIO it cannot enter; those of `leaves`.
  using GuestLeaves = std::function<Result<void>(tdx::Module& module, Hpa vp)>;
  Result<void> as_guest(const GuestLeaves& leaves) TEEIO_EXCLUDES(played_lock_);
  /// TDX_IOTLB_INV_REQUEST: each IOMMU gets what the guest asked for. The guest never hears of
  /// what cannot be queued, so that its VM is given up, as for other SEAMCALLs that must not
  /// fail (KVM_BUG_ON).
  void invalidate_for_guest();
  void destroy(Vm& vm) override;

 private:
  enum class State : std::uint8_t { kUninitialized, kInitialized, kRunnable };

  /// Under build_lock_ and the guest_memfd's lock, in which no annotation can follow a callback.
  Result<void> add_page(Gpa gpa, Hpa page, ByteView contents, bool measure);
  /// By vCPU, as they are now.
  [[nodiscard]] std::vector<Hpa> vcpu_handles();
  Result<Hpa> lend_page();
  void take_back(Hpa page);
  Result<void> build_tdr(const tdx::TdParameters& parameters) TEEIO_REQUIRES(build_lock_);
  Result<void> ensure_table(Gpa gpa);
  Error refused(const tdx::LeafResult& result, std::string_view why);
  GuestCallAction guest_leaf(Vcpu& vcpu, VcpuExit& exit);
  Result<void> commit_for_guest();
  Result<void> commit_for_guest(std::uint32_t iommu, Hpa status);
  GuestCallAction vmcall(Vcpu& vcpu, VcpuExit& exit);
  /// Gets who plays the guest out of the TD, as kvm_make_all_cpus_request() does a vCPU.
  void wait_for_played_guest() TEEIO_EXCLUDES(played_lock_);

  Vm& vm_;
  TdxHost& host_;
  Hpa tdr_{0};
  Hpa status_{0};  ///< the host's page that IOMMUs tell in how far invalidations are
  std::uint16_t hkid_ = 0;
  schedule::Mutex build_lock_{schedule::Rank::kKvmLock};
  schedule::Atomic<State> state_{State::kUninitialized};
  const schedule::Turn handles_turn_{"vCPU handles"};
  schedule::RawLock handles_lock_;
  std::map<std::uint32_t, Hpa> vcpu_handles_
      TEEIO_GUARDED_BY(handles_lock_);  ///< TDVPRs that exist, by vCPU
  schedule::Mutex played_lock_{schedule::Rank::kLeaf};
  schedule::Condition played_out_;
  bool played_in_ TEEIO_GUARDED_BY(played_lock_) = false;  ///< as_guest() is in the TD
  std::uint64_t plays_ TEEIO_GUARDED_BY(played_lock_) = 0;
  schedule::Mutex lent_lock_{schedule::Rank::kLeaf};
  /// Control and table pages in the module's hands.
  std::vector<Hpa> lent_ TEEIO_GUARDED_BY(lent_lock_);
  /// S-EPT entries that have a table.
  std::set<std::pair<tdx::Level, Gpa>> tables_ TEEIO_GUARDED_BY(lent_lock_);
};

/// What CPUID is in a TD: the host's processor, as the module shows it. No bit is configurable.
[[nodiscard]] std::span<const x86::CpuidEntry> td_cpuid();

/// Registers the type with KVM.
class TdxVmFactory final : public VmTypeFactory {
 public:
  explicit TdxVmFactory(TdxHost& host) : host_(host) {}
  [[nodiscard]] std::uint64_t type() const override { return kVmTypeTdx; }
  Result<std::unique_ptr<VmOps>> make(Vm& vm) override {
    return std::unique_ptr<VmOps>(std::make_unique<TdxVm>(vm, host_));
  }

 private:
  TdxHost& host_;
};

}  // namespace teeio::kvm
