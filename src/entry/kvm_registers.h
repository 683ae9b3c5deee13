#pragma once

#include "abi/kvm.h"
#include "host/kvm/vcpu.h"

namespace teeio::entry {

[[nodiscard]] abi::kvm_regs to_abi(const hw::CpuRegisters& r);
[[nodiscard]] hw::CpuRegisters from_abi(const abi::kvm_regs& r);

/// KVM_CAP_SYNC_REGS: the registers that struct kvm_run carries, as bits of kvm_valid_regs; 0 for
/// a confidential VM (kvm->arch.has_protected_state). `vm` may be null: of any.
/// Source: Linux arch/x86/kvm/x86.c, kvm_sync_valid_fields(), sync_regs(), store_regs().
[[nodiscard]] std::uint64_t kvm_sync_fields(kvm::Vm* vm);
/// Before the guest: those that the program has changed. Errors: EINVAL.
Result<void> take_synced_registers(kvm::Vcpu& vcpu, mm::UserMemory& memory, abi::kvm_run& run)
    TEEIO_REQUIRES(vcpu.mutex());
/// After it, whatever KVM_RUN returns: those that the program asks for.
void store_synced_registers(kvm::Vcpu& vcpu, abi::kvm_run& run) TEEIO_REQUIRES(vcpu.mutex());

}  // namespace teeio::entry
