#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "host/kvm/rmm/realm_host.h"
#include "host/kvm/vcpu.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_ops.h"
#include "hw/cpu.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// KVM_VM_TYPE_ARM_REALM of the Arm CCA host patches.
inline constexpr std::uint64_t kVmTypeArmRealm = 0x100;

/// Exits of Reason::kVendor: VcpuExit::number, and what args are.
enum class RealmExit : std::uint64_t {
  kHostCall = 1,  ///< args: the function; its arguments are the vCPU's registers
  kMapping = 2,   ///< args: VDEV's id, IPA base, top, PA. Completion's ret: 0 accepts
  kSystem = 3,    ///< args: a SystemEvent; the realm's vCPUs are off
};

enum class SystemEvent : std::uint64_t { kShutdown = 1, kReset = 2 };

/// A realm.
///
/// With a processor of its own (RealmHost::cpus()) its code runs: memory is populated, each
/// vCPU has a REC, and the first KVM_RUN activates the realm. Without (explorations) it is
/// active from the VM's creation, with one REC, and its private RAM is refused.
///
/// The monitor's tables are made when a page first needs them and go with the realm. Only
/// protected addresses are in them; what lies outside is KVM's own table. An entry needs no
/// block and no tracking: the monitor invalidates when it unmaps.
///
/// Lifetime: owned by its Vm; the realm's granules go back with it.
/// Locking: the tables change with kvm->mmu_lock held, as the secure table's hooks run;
/// config_lock_ (Linux: kvm->arch.config_lock) over populating and activation, and over what
/// activation reads of every vCPU until then; from there on a vCPU's state is under its mutex.
/// Source: Linux as posted, arch/arm64/kvm/rmi.c and rmi-exit.c
/// ("KVM: arm64: … Arm CCA", 2026-03-18, and "coco/TSM: Implement host-side support for Arm
/// CCA TDISP setup", RFC v4, 2026-04-27).
class RealmVm final : public VmOps {
 public:
  /// Errors: ENOMEM; EIO, EINVAL as the monitor says.
  static Result<std::unique_ptr<VmOps>> create(Vm& vm, RealmHost& host);

  [[nodiscard]] hw::CpuFactory* cpus() const override { return host_.cpus(); }
  [[nodiscard]] bool runs_code() const { return host_.cpus() != nullptr; }
  [[nodiscard]] Hpa firmware_handle() const override { return granules_.rd; }
  /// The REC of a realm without code; 0 else.
  [[nodiscard]] Hpa rec() const { return granules_.rec; }
  [[nodiscard]] bool has_private_memory() const override { return true; }
  [[nodiscard]] bool guest_state_protected() const override { return true; }
  [[nodiscard]] bool has_secure_table() const override { return true; }
  [[nodiscard]] std::optional<bool> is_private(Gpa address) const override;
  [[nodiscard]] Gpa strip(Gpa address) const override;
  [[nodiscard]] Gpa shared_alias(Gpa address) const override;
  [[nodiscard]] Gpa private_alias(Gpa address) const override { return strip(address); }
  Result<void> map_private(Gpa gpa, Hpa page, PageKind kind) override;
  Result<void> remove_private(Gpa gpa, PageKind kind) override;
  [[nodiscard]] std::optional<hw::GuestMapping> lookup_private(Gpa page) override;
  [[nodiscard]] bool raises_exception(Gpa page) override;

  /// KVM_ARM_RMI_POPULATE: gives the count of pages that were done. `contents` reads a page
  /// of the source by its number. Errors: EINVAL outside of the protected half, without a
  /// guest_memfd or not private; EBUSY once the realm is active; EEXIST mapped already;
  /// ENXIO the monitor refuses. Only of the first page.
  using ReadSource = std::function<Result<void>(std::uint64_t page, std::span<std::byte> out)>;
  Result<std::uint64_t> populate(Gpa base, std::uint64_t pages, bool measure,
                                 const ReadSource& contents);
  /// KVM_ARM_VM_SMCCC_FILTER. Errors: EINVAL an empty range, or one that wraps; EBUSY the
  /// realm runs already; EEXIST overlaps another, or the architecture's calls.
  enum class SmcccAction : std::uint8_t { kHandle = 0, kDeny = 1, kForward = 2 };
  Result<void> filter_calls(std::uint32_t first, std::uint32_t count, SmcccAction action);

  // vCPUs.
  Result<void> vcpu_created(Vcpu& vcpu) override;
  void vcpu_freed(Vcpu& vcpu) override;
  /// KVM_ARM_VCPU_INIT. Errors: EINVAL another target, or PSCI 0.2 is not wanted; ENOENT an
  /// unknown feature; EBUSY the realm is active.
  Result<void> init_vcpu(Vcpu& vcpu, std::uint32_t target, std::uint64_t features);
  /// KVM_GET_ONE_REG, KVM_SET_ONE_REG of a core register by its number (x0–x30, sp 31, pc 32):
  /// before the realm is active those that the REC begins with, then those that its last exit
  /// shows. Errors: ENOEXEC before init_vcpu(); EINVAL for what a realm does not show.
  Result<std::uint64_t> get_register(Vcpu& vcpu, std::uint64_t number);
  Result<void> set_register(Vcpu& vcpu, std::uint64_t number, std::uint64_t value);
  Result<void> vcpu_pre_run(Vcpu& vcpu) override;
  [[nodiscard]] bool vcpu_is_off(Vcpu& vcpu) override;
  Result<void> vcpu_enter(Vcpu& vcpu) override;
  void vcpu_leave(Vcpu& vcpu, const hw::CpuExit& why) override;
  GuestCallAction guest_call(Vcpu& vcpu, VcpuExit& exit) override;
  std::optional<VcpuExit> complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                        const VcpuCompletion& completion) override;

  // Where no code of it runs.
  /// The realm's own calls: RSI_VDEV_GET_INFO for the nonces, and RSI_VDEV_DMA_ENABLE with
  /// them.
  Result<void> guest_enables_dma(Bdf function) override;
  /// What RSI_VDEV_GET_INFO gives the realm. Errors: EIO; ENXIO the realm has no such VDEV.
  Result<rmm::VdevInfo> guest_looks(Bdf function);
  [[nodiscard]] RealmHost& host() { return host_; }
  /// As the first, of RSI_VDEV_VALIDATE_MAPPING up to its exit. Errors: EIO the monitor
  /// refuses; ENXIO the realm has no such VDEV.
  Result<void> guest_asks_for(std::uint64_t vdev_id, Hpa vdev, Gpa base, Gpa top, Hpa address);
  void destroy(Vm& vm) override;

  /// What a realm is made of.
  struct Granules {
    Hpa rd, rtt, rec;
  };

 private:
  /// What a vCPU has beside its engine.
  struct VcpuState {
    Vcpu* vcpu = nullptr;
    bool initialised = false;
    bool powered_off = false;       ///< KVM_ARM_VCPU_POWER_OFF
    Hpa rec{0}, run{0};             ///< its REC, and the page of entry and exit records
    hw::ArmRegisters shown{};       ///< what the program reads and writes
    rmm::RecExitRecord last{};      ///< why it left
    std::uint64_t enter_flags = 0;  ///< of the next entry
    bool in_realm = false;
  };
  /// What is still to be done of it.
  enum class Left : std::uint8_t { kRuns, kExits, kAgain, kFails };

  RealmVm(Vm& vm, RealmHost& host, const Granules& granules)
      : vm_(vm), host_(host), granules_(granules) {}
  Result<rmm::VdevInfo> info(std::uint64_t vdev_id, Hpa vdev);
  rmm::RmiResult dev_map(Gpa gpa, Hpa page, Hpa vdev);
  rmm::RmiResult with_tables(Gpa gpa, const std::function<rmm::RmiResult()>& command);
  Result<void> add_table(Gpa gpa, std::uint8_t level);
  Result<void> populate_page(Gpa gpa, bool measure, ByteView contents);
  Result<void> populate_page(Gpa gpa, Hpa page, bool measure, ByteView contents);

  // realm_vcpu.cc
  [[nodiscard]] VcpuState& state_of(Vcpu& vcpu);
  Result<void> activate() TEEIO_EXCLUDES(config_lock_);
  Result<void> create_rec(VcpuState& state);
  Left enter(VcpuState& state, VcpuExit& exit);
  Left enter_once(VcpuState& state, VcpuExit& exit);
  Left left_realm(VcpuState& state, VcpuExit& exit);
  Left power_call(VcpuState& state, VcpuExit& exit);
  void complete_power_call(VcpuState& state, bool turns_on);
  Left system_event(SystemEvent event, VcpuExit& exit);
  Result<bool> complete_ripas(VcpuState& state);
  [[nodiscard]] bool matches(Gpa base, Gpa top, bool is_private) const;
  [[nodiscard]] SmcccAction action_of(std::uint32_t function);
  void validate(VcpuState& state, Gpa top);

  struct Table {
    std::uint8_t level;
    std::uint64_t base;
    /// The lowest tables first, as they are taken away.
    auto operator<=>(const Table& other) const {
      return std::pair(-int{level}, base) <=> std::pair(-int{other.level}, other.base);
    }
  };
  Vm& vm_;
  RealmHost& host_;
  const Granules granules_;
  std::set<Table> tables_;  ///< under kvm->mmu_lock
  schedule::Mutex config_lock_{schedule::Rank::kTsmDriver};
  schedule::Atomic<bool> active_{false};
  schedule::Mutex vcpus_lock_{schedule::Rank::kLeaf};
  /// A node belongs to its vCPU's task once it is there.
  std::map<std::uint32_t, VcpuState> vcpus_ TEEIO_GUARDED_BY(vcpus_lock_);
  /// vCPUs that the realm has off (Linux: KVM_MP_STATE_STOPPED).
  std::set<std::uint32_t> off_ TEEIO_GUARDED_BY(vcpus_lock_);
  struct Filter {
    std::uint32_t first, last;
    SmcccAction action;
  };
  schedule::Mutex filters_lock_{schedule::Rank::kLeaf};
  /// From the start those of kvm_smccc_filter_insert_reserved(): the architecture's calls.
  std::vector<Filter> filters_ TEEIO_GUARDED_BY(filters_lock_){
      {.first = 0x8000'0000, .last = 0x8000'ffff, .action = SmcccAction::kHandle},
      {.first = 0xc000'0000, .last = 0xc000'ffff, .action = SmcccAction::kHandle}};
};

/// Registers the type with KVM.
class RealmVmFactory final : public VmTypeFactory {
 public:
  explicit RealmVmFactory(RealmHost& host) : host_(host) {}
  [[nodiscard]] std::uint64_t type() const override { return kVmTypeArmRealm; }
  Result<std::unique_ptr<VmOps>> make(Vm& vm) override { return RealmVm::create(vm, host_); }

 private:
  RealmHost& host_;
};

}  // namespace teeio::kvm
