#include "host/kvm/x86/vm_state.h"

#include <limits>

namespace teeio::kvm::x86 {

void VmState::disable_quirks(std::uint64_t quirks) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  disabled_quirks_ |= quirks & kSupportedQuirks;
}

Result<void> VmState::split_irqchip(std::uint64_t pins, std::size_t created_vcpus) {
  if (pins > kMaxIrqRoutes) return fail(Errno::kInval, "too many I/O APIC pins");
  if (created_vcpus != 0) return fail(Errno::kExist, "the irqchip comes before the vCPUs");
  return interrupts_.create_split(pins);
}

Result<void> VmState::set_x2apic_api(std::uint64_t flags) {
  if ((flags & ~kX2apicFlags) != 0)
    return fail(Errno::kInval, "an unknown flag of KVM_CAP_X2APIC_API is set");
  const bool on = (flags & kX2apicSuppressEoi) != 0, off = (flags & kX2apicNoSuppressEoi) != 0;
  if (on && (off || interrupts_.mode() != IrqchipMode::kSplit))
    return fail(Errno::kInval, "EOI broadcasts are suppressed with a split irqchip only");
  if ((flags & kX2apicWideIds) != 0) interrupts_.set_wide_ids();
  if ((flags & kX2apicNoBroadcastQuirk) != 0) interrupts_.disable_broadcast_quirk();
  if (on) interrupts_.believe_suppressed_eois();
  if (!on && !off) return {};
  const schedule::RawLockGuard guard(lock_);
  writes();
  never_directed_eoi_ = off;
  return {};
}

void VmState::set_exception_payload(bool on) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  exception_payload_ = on;
}

void VmState::set_triple_fault_event(bool on) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  triple_fault_event_ = on;
}

Result<void> VmState::set_hypercall_exits(std::uint64_t calls) {
  if ((calls & ~kHypercallExits) != 0)
    return fail(Errno::kInval, "no such hypercall exits to the VMM");
  const schedule::RawLockGuard guard(lock_);
  writes();
  hypercall_exits_ = calls;
  return {};
}

Result<void> VmState::set_max_ids(std::uint64_t ids) {
  if (ids > kMaxVcpuIds) return fail(Errno::kInval, "too many vCPU ids");
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (boot_cpu_ > ids) return fail(Errno::kInval, "the boot CPU's id would be too large");
  if (max_ids_ != 0 && max_ids_ != ids)
    return fail(Errno::kInval, "the largest vCPU id is set already");
  max_ids_ = ids;
  return {};
}

Result<void> VmState::set_bus_cycle_ns(std::uint64_t value, std::size_t created_vcpus) {
  // What the largest count and divider of a local APIC's timer come to.
  constexpr std::uint64_t kLargest = std::uint64_t{0xffff'ffff} * 128;
  if (value == 0 || value > std::numeric_limits<std::uint64_t>::max() / kLargest)
    return fail(Errno::kInval, "the APIC bus cannot have such a cycle");
  if (interrupts_.mode() == IrqchipMode::kNone) return fail(Errno::kNxio, "the VM has no irqchip");
  if (created_vcpus != 0) return fail(Errno::kInval, "the APIC bus is set before the vCPUs");
  const schedule::RawLockGuard guard(lock_);
  writes();
  bus_cycle_ns_ = value;
  return {};
}

Result<void> VmState::create_irqchip(std::size_t created_vcpus) {
  if (interrupts_.mode() != IrqchipMode::kNone)
    return fail(Errno::kExist, "the VM has an irqchip already");
  if (created_vcpus != 0) return fail(Errno::kInval, "the irqchip comes before the vCPUs");
  return interrupts_.create_kernel();
}

Result<void> VmState::check_tss_address(std::uint64_t address) {
  constexpr std::uint64_t kLast = 0x1'0000'0000 - 3 * 4096;
  if (address > kLast) return fail(Errno::kInval, "the TSS is beyond 4 GiB");
  return {};
}

Result<void> VmState::check_identity_map(std::size_t created_vcpus) {
  if (created_vcpus != 0) return fail(Errno::kInval, "the identity map is set before the vCPUs");
  return {};
}

Result<void> VmState::set_nr_mmu_pages(std::uint64_t pages) {
  constexpr std::uint64_t kFewest = 64;  // KVM_MIN_ALLOC_MMU_PAGES
  if (pages < kFewest) return fail(Errno::kInval, "an MMU needs 64 pages");
  const schedule::RawLockGuard guard(lock_);
  writes();
  mmu_pages_ = pages;
  return {};
}

Result<void> VmState::set_boot_cpu(std::uint64_t id, std::size_t created_vcpus) {
  if (created_vcpus != 0) return fail(Errno::kBusy, "the boot CPU is set before the vCPUs");
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (id > kMaxVcpuIds || (max_ids_ != 0 && id > max_ids_))
    return fail(Errno::kInval, "no vCPU can have this id");
  boot_cpu_ = static_cast<std::uint32_t>(id);
  return {};
}

Result<void> VmState::set_tsc_khz(std::uint32_t khz, std::size_t created_vcpus) {
  if (khz >= kMaxTscKhz) return fail(Errno::kInval, "no guest's TSC is that fast");
  if (created_vcpus != 0) return fail(Errno::kInval, "the VM's TSC is set before the vCPUs");
  const schedule::RawLockGuard guard(lock_);
  writes();
  tsc_khz_ = khz != 0 ? khz : kHostTscKhz;
  return {};
}

std::uint32_t VmState::tsc_khz() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return tsc_khz_;
}

void VmState::set_clock(std::uint64_t clock) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  clock_ = clock;
}

std::uint64_t VmState::clock() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return clock_;
}

bool VmState::is_boot_cpu(std::uint32_t id) {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return id == boot_cpu_;
}

bool VmState::valid_id(std::uint32_t id) {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return id < (max_ids_ != 0 ? max_ids_ : kMaxVcpuIds);
}

/// By itself, too, where the I/O APIC is the VMM's: the in-kernel one has no EOI register.
bool VmState::offers_directed_eoi() {
  if (interrupts_.mode() != IrqchipMode::kSplit) return false;
  const schedule::RawLockGuard guard(lock_);
  reads();
  return !never_directed_eoi_;
}

bool VmState::has_quirk(std::uint64_t quirk) {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return (disabled_quirks_ & quirk) == 0;
}

bool VmState::exception_payload() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return exception_payload_;
}

bool VmState::triple_fault_event() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return triple_fault_event_;
}

std::uint64_t VmState::hypercall_exits() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return hypercall_exits_;
}

std::uint64_t VmState::bus_cycle_ns() {
  const schedule::RawLockGuard guard(lock_);
  reads();
  return bus_cycle_ns_;
}

}  // namespace teeio::kvm::x86
