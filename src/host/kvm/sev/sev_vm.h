#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/types.h"
#include "firmware/sev/launch.h"
#include "host/kvm/sev/ghcb.h"
#include "host/kvm/sev/sev_host.h"
#include "host/kvm/vcpu.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_ops.h"
#include "schedule/atomic.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm {

inline constexpr std::uint64_t kVmTypeSnp = 4;  ///< KVM_X86_SNP_VM
/// The guest's C-bit, as CPUID 0x8000001f EBX says on EPYC: 1 is private.
inline constexpr unsigned kEncryptionBit = 51;

/// Exits of Reason::kVendor: VcpuExit::number, and what args and values are.
enum class SevExit : std::uint64_t {
  /// args: guest id, flags, data address, data pages, request address | response address in
  /// args[4] and args[5]; registers[2]: the MMIO address. values: ret, TDI status, data
  /// pages, firmware's error.
  kTioGuestRequest = 4,
  kTioOp = 5,      ///< args: guest id, action. values: ret, TDI id
  kTerminate = 6,  ///< args: the GHCB MSR
};

/// What a build call leaves in kvm_sev_cmd.error: the firmware's answer; nullopt: what the program
/// put there, since the firmware was not asked. It is the call's own: two calls may run at once.
using FirmwareAnswer = std::optional<std::uint32_t>;

/// An SNP guest. Source: Linux arch/x86/kvm/svm/sev.c.
///
/// The nested table is here, by guest frame; what hardware would look up for each access, the
/// RMP, is asked with it.
///
/// Lifetime: owned by its Vm. init2() comes first, then launch_start(), launch_update() a page
/// a time, launch_finish(); then it runs.
/// Locking: the build calls take build_lock_ (Linux: kvm->lock); the table's hooks run under
/// kvm->mmu_lock.
class SevVm final : public VmOps {
 public:
  SevVm(Vm& vm, SevHost& host) : vm_(vm), host_(host) {}
  ~SevVm() override = default;

  /// KVM_SEV_INIT2. Errors: EINVAL twice, with vCPUs, or an unknown flag, feature or GHCB
  /// version; EBUSY no ASID; ENOMEM, EIO.
  Result<void> init2(std::uint64_t vmsa_features, std::uint32_t flags, std::uint16_t ghcb_version,
                     FirmwareAnswer& answer) TEEIO_EXCLUDES(build_lock_);
  /// KVM_SEV_SNP_LAUNCH_START. Errors: ENOTTY before init2(), or when there is no context;
  /// EINVAL twice, flags, or an impossible policy; EIO.
  Result<void> launch_start(std::uint64_t policy, ByteView gosvw, std::uint16_t flags,
                            FirmwareAnswer& answer) TEEIO_EXCLUDES(build_lock_);
  /// KVM_SEV_SNP_LAUNCH_UPDATE: gives the count of pages that were done. `contents` reads a
  /// page of the source by its number. Errors: EINVAL before launch_start(), or without a
  /// guest_memfd there; EIO when there is none, or not even the first went well: after
  /// launch_finish() the firmware refuses all.
  using ReadSource = std::function<Result<void>(std::uint64_t page, std::span<std::byte> out)>;
  Result<std::uint64_t> launch_update(Gpa start, std::uint64_t pages, sev::LaunchPage type,
                                      const ReadSource& contents, FirmwareAnswer& answer)
      TEEIO_EXCLUDES(build_lock_);
  /// What a program gives with KVM_SEV_SNP_LAUNCH_FINISH.
  struct Finish {
    bool id_block = false;
    bool author_key = false;  ///< without an ID block nobody looks at it
    bool vcek_disabled = false;
    Bytes host_data = Bytes(32);
    /// The ID block and its authentication: read when the save areas are measured.
    std::function<Result<Bytes>()> read_block{}, read_authentication{};
  };
  /// KVM_SEV_SNP_LAUNCH_FINISH. Errors: ENOTTY before init2(); EINVAL before launch_start();
  /// or when a vCPU is debugged, or measured by a call before; ENOMEM; what `read_…` give; EIO the
  /// firmware refuses it.
  Result<void> launch_finish(const Finish& finish, FirmwareAnswer& answer)
      TEEIO_EXCLUDES(build_lock_);
  /// Whether init2() has been: sev_snp_guest().
  [[nodiscard]] bool initialised() const { return asid_.load() != 0; }
  [[nodiscard]] sev::Asid asid() const { return asid_.load(); }
  [[nodiscard]] PspHost& psp() { return host_.psp(); }

  /// What the nested table has at a guest page; nullopt: nothing.
  [[nodiscard]] std::optional<Hpa> nested_page(Gpa gpa) {
    const auto found = nested(gpa);
    return found ? std::optional(found->page) : std::nullopt;
  }

  [[nodiscard]] Hpa firmware_handle() const override { return Hpa{gctx_.load()}; }
  [[nodiscard]] bool has_private_memory() const override { return true; }
  [[nodiscard]] std::optional<bool> is_private(Gpa address) const override {
    return (raw(address) & kPrivate) != 0;
  }
  [[nodiscard]] Gpa strip(Gpa address) const override { return Gpa{raw(address) & ~kPrivate}; }
  [[nodiscard]] Gpa private_alias(Gpa address) const override {
    return Gpa{raw(address) | kPrivate};
  }
  [[nodiscard]] bool guest_state_protected() const override {
    return protected_.load() || finished_.load();
  }
  [[nodiscard]] bool has_secure_table() const override { return true; }
  [[nodiscard]] bool pre_fault_allowed() const override { return finished_.load(); }
  Result<void> gmem_prepare(Gpa gpa, Hpa page) override;
  [[nodiscard]] bool gmem_has_dma() const override { return true; }
  void gmem_invalidate(Hpa page) override;
  Result<void> map_private(Gpa gpa, Hpa page, PageKind kind) override;
  Result<void> remove_private(Gpa gpa, PageKind kind) override;
  [[nodiscard]] std::optional<hw::GuestMapping> lookup_private(Gpa page) override;
  [[nodiscard]] bool raises_exception(Gpa page) override;
  Result<void> vcpu_created(Vcpu& vcpu) override;
  void vcpu_freed(Vcpu& vcpu) override;
  Result<void> vcpu_pre_run(Vcpu& vcpu) override;
  GuestCallAction guest_call(Vcpu& vcpu, VcpuExit& exit) override;
  std::optional<VcpuExit> complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                        const VcpuCompletion& completion) override;
  void destroy(Vm& vm) override;

 private:
  static constexpr std::uint64_t kPrivate = std::uint64_t{1} << kEncryptionBit;
  struct Nested {
    Hpa page;
    PageKind kind;
  };
  /// What a vCPU of this type has beside the engine.
  struct VcpuState {
    Hpa vmsa{0};
    Vcpu* vcpu = nullptr;
    bool in_firmware = false;           ///< the VMSA is the guest's in the RMP
    Gpa registered{~std::uint64_t{0}};  ///< the GHCB that the guest has registered
    Gpa ghcb{0};                        ///< of the exit that the VMM has to answer
    std::uint64_t scratch = 0;          ///< of that exit
    std::uint16_t psc_index = 0, psc_count = 0;
  };

  // Launch.
  Result<void> command(std::uint16_t number, Bytes buffer, FirmwareAnswer& answer);
  Result<void> create_context(FirmwareAnswer& answer);
  Result<void> update_page(Gpa gpa, sev::LaunchPage type, const ReadSource& contents,
                           std::uint64_t index, FirmwareAnswer& answer) TEEIO_REQUIRES(build_lock_);
  Result<void> firmware_takes(Hpa page, sev::LaunchPage type, FirmwareAnswer& answer);
  Result<void> launch_vmsas(FirmwareAnswer& answer) TEEIO_REQUIRES(build_lock_);
  void free_context();

  // The guest's instructions (guest_calls.cc, vmgexit.cc).
  GuestCallAction page_call(Vcpu& vcpu, VcpuExit& exit);
  GuestCallAction retry_after_fault(Vcpu& vcpu, Gpa address, VcpuExit& exit);
  GuestCallAction vmgexit(Vcpu& vcpu, VcpuExit& exit);
  GuestCallAction msr_protocol(Vcpu& vcpu, VcpuExit& exit, std::uint64_t request);
  GuestCallAction dispatch(Vcpu& vcpu, VcpuState& state, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction io(VcpuState& state, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction mmio(VcpuState& state, Ghcb& ghcb, VcpuExit& exit, bool write);
  GuestCallAction page_state_change(VcpuState& state, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction extended_guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction tio_guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction missing(Vcpu& vcpu, Ghcb& ghcb, Gpa page, hw::GuestMemory::Miss miss,
                          VcpuExit& exit);
  GuestCallAction tio_op(Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction begin_psc(VcpuState& state, Ghcb& ghcb, VcpuExit& exit);
  GuestCallAction finish_psc(VcpuState& state, Ghcb& ghcb, bool good, VcpuExit& exit);
  void finish_tio(Ghcb& ghcb, const VcpuExit& exit, const VcpuCompletion& completion);
  [[nodiscard]] VcpuState& state_of(Vcpu& vcpu);
  [[nodiscard]] std::optional<Nested> nested(Gpa page);

  Vm& vm_;
  SevHost& host_;
  schedule::Mutex build_lock_{schedule::Rank::kKvmLock};
  schedule::Atomic<std::uint32_t> asid_{0};
  schedule::Atomic<std::uint64_t> gctx_{0};
  schedule::Atomic<bool> finished_{false};
  schedule::Atomic<bool> protected_{false};  ///< a save area is measured
  std::uint16_t ghcb_version_ = 0;
  Hpa request_page_{0}, response_page_{0};  ///< of guest requests (snp_guest_req_init())
  schedule::Mutex request_lock_{schedule::Rank::kTsmDriver};  ///< sev->guest_req_mutex
  /// Also read by the guest's instructions, without mmu_lock.
  const schedule::Turn nested_turn_{"nested table"};  ///< a part a page
  schedule::RawLock nested_lock_;
  std::map<std::uint64_t, Nested> nested_ TEEIO_GUARDED_BY(nested_lock_);  ///< by guest frame
  schedule::Mutex vcpus_lock_{schedule::Rank::kLeaf};
  /// A node belongs to its vCPU's task once it is there.
  std::map<std::uint32_t, VcpuState> vcpus_ TEEIO_GUARDED_BY(vcpus_lock_);
};

/// Registers the type with KVM.
class SevVmFactory final : public VmTypeFactory {
 public:
  explicit SevVmFactory(SevHost& host) : host_(host) {}
  [[nodiscard]] std::uint64_t type() const override { return kVmTypeSnp; }
  Result<std::unique_ptr<VmOps>> make(Vm& vm) override {
    return std::unique_ptr<VmOps>(std::make_unique<SevVm>(vm, host_));
  }

 private:
  SevHost& host_;
};

}  // namespace teeio::kvm
