#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

/// General registers of an x86-64 vCPU, in KVM's order (struct kvm_regs).
struct CpuRegisters {
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rsp = 0, rbp = 0;
  std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
  std::uint64_t rip = 0, rflags = 2;
};

using Pdptrs = std::array<std::uint64_t, 4>;

/// General registers of a 64-bit Arm vCPU.
struct ArmRegisters {
  std::array<std::uint64_t, 31> x{};
  std::uint64_t sp = 0;
  std::uint64_t pc = 0;
  bool operator==(const ArmRegisters&) const = default;
};

/// What a vCPU that runs Arm's instructions has in place of the x86 registers.
class ArmCore {
 public:
  virtual ~ArmCore() = default;
  [[nodiscard]] virtual ArmRegisters arm_registers() const = 0;
  virtual void set_arm_registers(const ArmRegisters& registers) = 0;
};

/// What a guest access found in the tables of its VM.
struct GuestMapping {
  Hpa address;  ///< of the page
  bool writable = true;
  bool mmio = false;  ///< a BAR: each access goes to the bus, nothing is cached
  KeyId key = KeyId::kShared;
};

enum class GuestAccess : std::uint8_t { kRead, kWrite, kFetch };

/// Which of a confidential guest's own instructions kGuestCall stands for; the engine has
/// carried none of them out.
enum class GuestCall : std::uint8_t {
  kFirmware,      ///< to the firmware (x86: 66 0F 01 CC; Arm: SMC)
  kHost,          ///< words for the host, in memory that both see (F3 0F 01 D9)
  kValidatePage,  ///< takes the page at `gpa` into use or out of it (F2 0F 01 FF)
  kAdjustPage,    ///< what others may do with the page at `gpa` (F3 0F 01 FE)
};

/// Why run() came back.
struct CpuExit {
  enum class Reason : std::uint8_t {
    kHalt,         ///< HLT
    kFault,        ///< no mapping for `gpa` (EPT violation); retried when run again
    kMmio,         ///< access to a GPA that the owner declared emulated: see data
    kIo,           ///< IN/OUT
    kHypercall,    ///< VMCALL or VMMCALL outside of a confidential guest: see registers
    kCpuid,        ///< CPUID: EAX and ECX are the question, in registers()
    kGuestCall,    ///< a confidential guest's own instruction: see call and registers
    kDebug,        ///< what set_debug() asked for: see vector and dr6
    kFinished,     ///< finish_instruction() only: the instruction is at its end
    kKicked,       ///< kick() was called, or the CPU has run for a while
    kShutdown,     ///< triple fault or an instruction that cannot be emulated
    kUnsupported,  ///< code where no memory is, or a state that the engine cannot run
  };
  Reason reason = Reason::kHalt;
  Gpa gpa{0};                             ///< kFault, kMmio, kGuestCall where its GuestCall says so
  GuestCall call = GuestCall::kFirmware;  ///< kGuestCall
  GuestAccess access = GuestAccess::kRead;
  std::uint16_t port = 0;   ///< kIo
  std::uint8_t size = 0;    ///< kMmio, kIo: bytes, 1–8
  bool write = false;       ///< kMmio, kIo
  std::uint64_t data = 0;   ///< kMmio, kIo writes: the value, little-endian
  std::uint16_t count = 0;  ///< kIo of INS or OUTS: elements of `size`; else 0
  std::uint8_t vector = 0;  ///< kDebug: kDebugVector or kBreakpointVector
  std::uint64_t dr6 = 0;    ///< kDebug, kDebugVector: as the processor sets it
};
inline constexpr std::uint8_t kDebugVector = 1;
inline constexpr std::uint8_t kBreakpointVector = 3;

/// What an owner wants to know of while the guest runs. Source: Intel SDM vol. 3, 19.2.
struct CpuDebug {
  bool single_step = false;  ///< each instruction ends run()
  bool int3 = false;         ///< so does INT3, instead of being an exception
  bool breakpoints = false;  ///< so do those of the two below, but for ports
  std::array<std::uint64_t, 4> address{};
  std::uint64_t dr7 = 0;
};

/// A VM's second-stage tables as its vCPUs use them.
/// Locking: called from run() without any lock of the CPU.
class GuestMemory {
 public:
  virtual ~GuestMemory() = default;
  /// The mapping of a page, or why there is none: kFault (fault exit), kEmulated (no memory
  /// there: MMIO exit), kException (the hardware lets the guest know, not its owner).
  enum class Miss : std::uint8_t { kFault, kEmulated, kException };
  virtual std::expected<GuestMapping, Miss> lookup(Gpa page, GuestAccess access) = 0;
  /// Reads and writes of a mapping's bytes (RAM with key, or MMIO).
  virtual Result<void> read(const GuestMapping& mapping, std::uint64_t offset,
                            std::span<std::byte> out) = 0;
  virtual Result<void> write(const GuestMapping& mapping, std::uint64_t offset, ByteView in) = 0;
  /// Plain memory behind a RAM mapping, to run from; empty if there is none.
  virtual std::span<std::byte> direct(const GuestMapping& mapping) = 0;
};

/// A first state that firmware gives a vCPU.
struct FlatStart {
  std::uint64_t cr0 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;
  CpuRegisters registers;
};

/// One vCPU's execution engine.
///
/// Lifetime: owned by its vCPU; `memory` outlives it.
/// Locking: run() by one task at a time; kick() and flush() from any.
class Cpu {
 public:
  virtual ~Cpu() = default;
  /// Takes the memory that the engine needs, if that was put off. To be called before the first of
  /// all below but kick(), flush() and those that return an error themselves.
  /// Errors: ENOMEM; it may be tried again.
  virtual Result<void> open() { return {}; }
  /// Runs until an exit. A kMmio exit or a kGuestCall is completed by setting
  /// the result (set_read_result(), registers()) and running again; kIo by complete_io().
  /// Precondition: memory lookups may block.
  virtual CpuExit run() = 0;
  /// Makes a running or the next run() return kKicked soon.
  virtual void kick() = 0;
  /// Drops cached translations of [start, start + size) before the next guest
  /// access (TLB shoot-down). Callers kick and wait as their tracking demands.
  virtual void flush(Gpa start, std::uint64_t size_bytes) = 0;
  /// The value of the read that the last kMmio exit asked for.
  virtual void set_read_result(std::uint64_t value) = 0;
  /// Ends the instruction of the last kIo exit; of an IN with the value that was read. Nothing
  /// when RIP is no longer the instruction's.
  virtual void complete_io(std::uint64_t value) = 0;
  /// As complete_io(), of an INS: all the elements that its exit asked for.
  virtual void complete_input(ByteView /*data*/) {}
  /// The present instruction, which a kMmio exit has interrupted, and no more: kFinished when it
  /// is at its end, or another exit on its way there, after which it is to be called again.
  virtual CpuExit finish_instruction() = 0;
  /// Whether there is one of which something has been done on the bus already.
  [[nodiscard]] virtual bool inside_instruction() const = 0;
  /// For the instructions that begin from now on. A code breakpoint is not taken where RFLAGS.RF
  /// is set; the guest's own debug registers do nothing.
  virtual void set_debug(const CpuDebug& debug) = 0;
  /// Whether instructions are single steps from now on; set_debug() says so first.
  virtual void set_stepping(bool on) = 0;
  /// Whether the instruction that has just ended was a step that run() would tell of next. It is
  /// the caller's then.
  virtual bool take_step() = 0;
  /// The upper four table entries of PAE paging, which a processor keeps to itself from the load of
  /// CR3 on (SDM vol. 3, 4.4.1); nullopt: not loaded yet, or another paging mode.
  [[nodiscard]] virtual std::optional<Pdptrs> pdptrs() const = 0;
  virtual void set_pdptrs(const Pdptrs& pdptrs) = 0;
  [[nodiscard]] virtual CpuRegisters registers() const = 0;
  virtual void set_registers(const CpuRegisters& registers) = 0;
  /// Special registers, as bytes of KVM's struct kvm_sregs (312 bytes); the
  /// layout is abi's, so that this room needs not know it.
  virtual Result<void> get_special(std::span<std::byte> out) const = 0;
  virtual Result<void> set_special(ByteView in) = 0;
  /// Starts in flat 32-bit protected mode, paging off: segments of 4 GiB, empty
  /// descriptor tables. What firmware says of the rest is in `start`.
  virtual void start_flat(const FlatStart& start) = 0;
  /// A bit of guest addresses that says "private", which the hardware sets by itself where
  /// the guest's tables cannot: table walks, instruction fetches, paging off or without
  /// entries of 8 bytes. 0: there is none.
  virtual void set_private_bit(std::uint64_t bit) = 0;
  /// A model-specific register that guest and owner share: from its first set_msr() on the
  /// guest reads and writes it without an exit. nullopt: there is none.
  virtual void set_msr(std::uint32_t number, std::uint64_t value) = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> msr(std::uint32_t number) const = 0;
  /// Not null where the instructions are Arm's: then what is said above of registers, MSRs,
  /// flat starts and private bits is not to be called.
  [[nodiscard]] virtual ArmCore* arm() { return nullptr; }
};

class CpuFactory {
 public:
  virtual ~CpuFactory() = default;
  /// Errors: ENOMEM.
  virtual Result<std::unique_ptr<Cpu>> make(GuestMemory& memory) = 0;
};

}  // namespace teeio::hw
