#include "guest/arm_cpu.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "guest/cpu_exits.h"
#include "guest/factory.h"
#include "guest/unicorn_access.h"

// Out here, because the sum of enumerators inside would meet base's operators.
static constexpr int kInvalidArmAccess = UC_HOOK_MEM_INVALID;
static constexpr int kAnyArmAccess = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE;

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;

constexpr std::size_t kMaxArmPages = 512;
constexpr std::uint64_t kInstructionBytes = 4;
// After so many the owner may look whether a signal waits: about a millisecond.
constexpr std::uint64_t kArmSlice = 16384;

int x_register(std::size_t n) {
  if (n == 29) return UC_ARM64_REG_X29;
  if (n == 30) return UC_ARM64_REG_X30;
  return UC_ARM64_REG_X0 + static_cast<int>(n);
}

}  // namespace

std::unique_ptr<hw::CpuFactory> make_arm_factory() { return std::make_unique<FactoryOf<ArmCpu>>(); }

Result<std::unique_ptr<ArmCpu>> ArmCpu::create(hw::GuestMemory& memory) {
  uc_engine* uc = nullptr;
  if (uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &uc) != UC_ERR_OK)
    return fail(Errno::kNoMem, "Unicorn cannot be opened");
  std::unique_ptr<ArmCpu> cpu(new ArmCpu(memory, uc));
  if (uc_context_alloc(uc, &cpu->snapshot_) != UC_ERR_OK)
    return fail(Errno::kNoMem, "Unicorn context");
  TEEIO_TRY(cpu->install_hooks());
  // No end address: only hooks stop it.
  uc_ctl_exits_enable(uc);
  return cpu;
}

ArmCpu::~ArmCpu() {
  if (snapshot_ != nullptr) uc_context_free(snapshot_);
  uc_close(uc_);
}

Result<void> ArmCpu::install_hooks() {
  uc_hook hook = 0;
  // With a hook on loads or stores, wherever it may be, Unicorn looks at a page's rights at
  // every access and not only when its own TLB misses. No address is there.
  constexpr std::uint64_t kNowhere = 0xf000'0000'0000'0000;
  static constexpr auto kIgnore = [](uc_engine*, uc_mem_type, std::uint64_t, int, std::int64_t,
                                     void*) {};
  void (*const ignore)(uc_engine*, uc_mem_type, std::uint64_t, int, std::int64_t, void*) = kIgnore;
  // begin > end: the whole address space.
  if (uc_hook_add(uc_, &hook, UC_HOOK_CODE, reinterpret_cast<void*>(&code_hook), this, 1, 0) !=
          UC_ERR_OK ||
      uc_hook_add(uc_, &hook, kInvalidArmAccess, reinterpret_cast<void*>(&access_hook), this, 1,
                  0) != UC_ERR_OK ||
      uc_hook_add(uc_, &hook, kAnyArmAccess, reinterpret_cast<void*>(ignore), nullptr, kNowhere,
                  kNowhere) != UC_ERR_OK)
    return fail(Errno::kNoMem, "Unicorn hook");
  return {};
}

std::uint64_t ArmCpu::get(int reg) const {
  std::uint64_t value = 0;
  uc_reg_read(uc_, reg, &value);
  return value;
}

void ArmCpu::set(int reg, std::uint64_t value) { uc_reg_write(uc_, reg, &value); }

hw::ArmRegisters ArmCpu::arm_registers() const {
  hw::ArmRegisters registers;
  for (std::size_t n = 0; n < registers.x.size(); ++n) registers.x[n] = get(x_register(n));
  registers.sp = get(UC_ARM64_REG_SP);
  registers.pc = get(UC_ARM64_REG_PC);
  return registers;
}

void ArmCpu::set_arm_registers(const hw::ArmRegisters& registers) {
  if (registers.pc != get(UC_ARM64_REG_PC)) done_.forget();
  for (std::size_t n = 0; n < registers.x.size(); ++n) set(x_register(n), registers.x[n]);
  set(UC_ARM64_REG_SP, registers.sp);
  set(UC_ARM64_REG_PC, registers.pc);
}

// Exceptions.

namespace {

/// A system register that Unicorn knows by its encoding.
struct SystemRegister {
  std::uint8_t crn, crm, op2;
};
constexpr SystemRegister kSpsr{4, 0, 0};
constexpr std::uint64_t kPstateMode = 0xf, kEl1t = 4, kEl1h = 5;
constexpr std::uint64_t kPstateDaif = 0xfU << 6U, kPstateFlags = 0xfULL << 28U;
// ESR_ELx of an abort: class, IL, WnR, DFSC. Source: Arm ARM (DDI 0487), D24.2.40.
constexpr unsigned kClass = 26;
constexpr std::uint64_t kFetchAbort = 0x20ULL << kClass, kDataAbort = 0x24ULL << kClass;
constexpr std::uint64_t kLongInstruction = 1U << 25U, kExternal = 1U << 9U, kWritten = 1U << 6U;
constexpr std::uint64_t kExternalAbort = 0x10;

void write_system(uc_engine* uc, const SystemRegister& which, std::uint64_t value) {
  uc_arm64_cp_reg reg{};
  reg.op0 = 3;
  reg.crn = which.crn;
  reg.crm = which.crm;
  reg.op2 = which.op2;
  reg.val = value;
  uc_reg_write(uc, UC_ARM64_REG_CP_REG, &reg);
}

}  // namespace

/// The vector's entry for a synchronous exception that EL1 takes from itself.
std::uint64_t ArmCpu::vector_for(std::uint64_t pstate) const {
  constexpr std::uint64_t kOwnStack = 0x200;
  return get(UC_ARM64_REG_VBAR_EL1) + ((pstate & kPstateMode) == kEl1h ? kOwnStack : 0);
}

/// What of PSTATE has features that the engine's processor has not (PAN, SSBS, TCO) stays zero.
/// Unicorn goes from EL0 to EL1 by no register that is written.
hw::ArmRegisters ArmCpu::take_abort(std::uint64_t syndrome, std::uint64_t address) {
  const std::uint64_t pstate = get(UC_ARM64_REG_PSTATE);
  const std::uint64_t mode = pstate & kPstateMode;
  const std::uint64_t vector = vector_for(pstate);
  constexpr std::uint64_t kSameLevel = 1ULL << kClass;
  if (mode != kEl1h && mode != kEl1t) {
    lost_ = true;
    return arm_registers();
  }
  set(UC_ARM64_REG_ELR_EL1, get(UC_ARM64_REG_PC));
  write_system(uc_, kSpsr, pstate);
  set(UC_ARM64_REG_ESR_EL1, syndrome + kSameLevel);
  set(UC_ARM64_REG_FAR_EL1, address);
  if (mode != kEl1h) set(UC_ARM64_REG_SP_EL0, get(UC_ARM64_REG_SP));
  set(UC_ARM64_REG_PSTATE, kEl1h | kPstateDaif | (pstate & kPstateFlags));
  if (mode != kEl1h) set(UC_ARM64_REG_SP, get(UC_ARM64_REG_SP_EL1));
  set(UC_ARM64_REG_PC, vector);
  // The access is not made any more, nor answered.
  done_.forget();
  stop_ = Stop::kNone;
  return arm_registers();
}

/// The hardware's answer to an access where the guest's owner says that nothing is. A guest
/// without vectors would take the next one for fetching its vector, for ever.
std::optional<CpuExit> ArmCpu::external_abort() {
  const bool fetch = missing_.access == GuestAccess::kFetch;
  if (get(UC_ARM64_REG_VBAR_EL1) == 0) return shutdown();
  if (fetch && missing_.address == vector_for(get(UC_ARM64_REG_PSTATE))) return shutdown();
  (void)take_abort((fetch ? kFetchAbort : kDataAbort) | kLongInstruction | kExternal |
                       kExternalAbort | (missing_.access == GuestAccess::kWrite ? kWritten : 0),
                   missing_.address);
  return std::nullopt;
}

Result<void> ArmCpu::get_special(std::span<std::byte>) const {
  return fail(Errno::kInval, "an Arm vCPU has no x86 registers");
}
Result<void> ArmCpu::set_special(ByteView) {
  return fail(Errno::kInval, "an Arm vCPU has no x86 registers");
}

void ArmCpu::kick() {
  kicked_.store(true);
  attention_.store(true);
}

void ArmCpu::flush(Gpa, std::uint64_t) {
  flushed_.store(true);
  attention_.store(true);
}

CpuExit ArmCpu::run() {
  // The access that the last exit asked for: a load gets its value now.
  if (stop_ == Stop::kExit && exit_.reason == CpuExit::Reason::kMmio) done_.answer(read_result_);
  stop_ = Stop::kNone;
  for (;;) {
    if (lost_) return shutdown();
    attention_.store(false);
    if (flushed_.exchange(false)) drop_pages();
    const bool used_up = std::exchange(slice_used_up_, false);
    if (kicked_.exchange(false) || used_up) return exit_for(CpuExit::Reason::kKicked);
    if (auto exit = step()) return *exit;
  }
}

std::optional<CpuExit> ArmCpu::step() {
  stop_ = Stop::kNone;
  first_instruction_ = true;
  uc_emu_start(uc_, get(UC_ARM64_REG_PC), 0, 0, 0);
  if (std::exchange(has_snapshot_, false)) uc_context_restore(uc_, snapshot_);
  switch (stop_) {
    case Stop::kNone:
      return shutdown();  // an exception, and no vector
    case Stop::kAttention:
      return std::nullopt;
    case Stop::kTrap:
      return perform(trap_);
    case Stop::kMissing:
      return map_missing();
    case Stop::kExit:
      return exit_;
  }
  return shutdown();
}

std::optional<CpuExit> ArmCpu::map_missing() {
  const std::uint64_t page = page_of(missing_.address);
  if (pages_.size() >= kMaxArmPages) drop_pages();
  // Rights are given as they are used, so that lookup() hears of each kind of access.
  std::uint32_t rights = UC_PROT_READ | right_for(missing_.access);
  if (const auto held = pages_.find(page); held != pages_.end()) {
    rights |= held->second.rights;
    unmap(page);
    pages_.erase(held);
  }
  const auto mapping = memory_.lookup(Gpa{page}, missing_.access);
  if (!mapping && mapping.error() == hw::GuestMemory::Miss::kFault)
    return fault(Gpa{missing_.address}, missing_.access);
  if (!mapping && mapping.error() == hw::GuestMemory::Miss::kException) return external_abort();
  std::span<std::byte> host =
      mapping && !mapping->mmio ? memory_.direct(*mapping) : std::span<std::byte>{};
  const bool ram = host.size() >= kPageSize;
  if (!ram && missing_.access == GuestAccess::kFetch) return unsupported();
  if (!ram) {
    host = bus_page_->bytes;
    rights = UC_PROT_NONE;
  }
  if (uc_mem_map_ptr(uc_, page, kPageSize, rights, host.data()) != UC_ERR_OK) return shutdown();
  pages_.emplace(page, Page{ram ? host.data() : nullptr, rights});
  return std::nullopt;
}

std::optional<CpuExit> ArmCpu::perform(const ArmTrap& trap) {
  constexpr std::uint64_t kMmuOn = 1, kLevel = 3U << 2U;
  switch (trap.kind) {
    case ArmTrap::Kind::kFirmwareCall:
      // At EL0 it is undefined (DDI 0487, C6.2, SMC): firmware hears the guest's kernel alone.
      if ((get(UC_ARM64_REG_PSTATE) & kLevel) == 0) return shutdown();
      advance();
      return exit_for(CpuExit::Reason::kGuestCall);
    case ArmTrap::Kind::kWait:
      advance();
      return exit_for(CpuExit::Reason::kKicked);
    case ArmTrap::Kind::kReadCounter:
      // Time that passes with the instructions, so that two runs are the same.
      if (trap.reg != 31) set(x_register(trap.reg), instructions_);
      break;
    case ArmTrap::Kind::kWriteControl:
      if (trap.reg != 31 && (get(x_register(trap.reg)) & kMmuOn) != 0) return unsupported();
      break;
    case ArmTrap::Kind::kUndefined:
    case ArmTrap::Kind::kNone:
      return shutdown();
  }
  advance();
  return std::nullopt;
}

void ArmCpu::advance() {
  set(UC_ARM64_REG_PC, get(UC_ARM64_REG_PC) + kInstructionBytes);
  done_.forget();
}

void ArmCpu::unmap(std::uint64_t page) {
  uc_ctl_remove_cache(uc_, page, page + kPageSize);
  const uc_err error = uc_mem_unmap(uc_, page, kPageSize);
  TEEIO_CHECK(error == UC_ERR_OK, "a page is unmapped that was mapped");
  code_page_ = ~std::uint64_t{0};
}

void ArmCpu::drop_pages() {
  for (const auto& [address, page] : pages_) unmap(address);
  pages_.clear();
}

// Inside a hook, in the middle of an instruction.

void ArmCpu::code_hook(uc_engine*, std::uint64_t address, std::uint32_t, void* self) {
  static_cast<ArmCpu*>(self)->on_code(address);
}

bool ArmCpu::access_hook(uc_engine*, uc_mem_type type, std::uint64_t address, int size,
                         std::int64_t value, void* self) {
  return static_cast<ArmCpu*>(self)->on_access(type, address, static_cast<unsigned>(size),
                                               static_cast<std::uint64_t>(value));
}

void ArmCpu::on_code(std::uint64_t address) {
  if (stop_ != Stop::kNone) return;  // a refused access was the last thing that counts
  if (!first_instruction_) done_.forget();
  first_instruction_ = false;
  done_.start();
  ++instructions_;
  slice_used_up_ = instructions_ % kArmSlice == 0;
  if (slice_used_up_ || attention_.load()) {
    stop_ = Stop::kAttention;
    uc_emu_stop(uc_);
    return;
  }
  if (address % kInstructionBytes != 0) {
    // A PC alignment fault, which the engine does not make; the bytes may lie in two pages.
    trap_ = {.kind = ArmTrap::Kind::kUndefined};
    stop_ = Stop::kTrap;
    uc_emu_stop(uc_);
    return;
  }
  if (page_of(address) != code_page_) {
    const auto page = pages_.find(page_of(address));
    if (page == pages_.end() || page->second.host == nullptr) return;
    code_page_ = page_of(address);
    code_host_ = page->second.host;
  }
  std::uint32_t instruction = 0;
  std::memcpy(&instruction, code_host_ + address % kPageSize, sizeof instruction);
  trap_ = arm_trap(instruction);
  if (trap_.kind == ArmTrap::Kind::kNone) return;
  stop_ = Stop::kTrap;
  uc_emu_stop(uc_);
}

bool ArmCpu::abandon(Stop stop) {
  stop_ = stop;
  uc_context_save(uc_, snapshot_);
  has_snapshot_ = true;
  return false;
}

bool ArmCpu::on_access(uc_mem_type type, std::uint64_t address, unsigned size,
                       std::uint64_t value) {
  if (stop_ != Stop::kNone) return false;
  const GuestAccess access = access_of(type);
  const auto page = pages_.find(page_of(address));
  if (page == pages_.end() || page->second.host != nullptr || access == GuestAccess::kFetch) {
    // To fetch the next instruction is to be done with the one that ran.
    if (access == GuestAccess::kFetch && !first_instruction_) done_.forget();
    missing_ = {address, access};
    return abandon(Stop::kMissing);
  }
  const std::uint64_t offset = address % kPageSize;
  const auto exit = done_.make({.page = Gpa{page->first},
                                .offset = offset,
                                .size = size,
                                .write = access == GuestAccess::kWrite,
                                .value = value},
                               bus_page_->bytes.data() + offset);
  if (!exit) return true;
  exit_ = *exit;
  return abandon(Stop::kExit);
}

}  // namespace teeio::guest
