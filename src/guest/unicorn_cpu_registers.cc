#include <array>
#include <cstring>

#include "guest/cpu_exits.h"
#include "guest/unicorn_cpu.h"

// The registers that Unicorn must not see as they are: paging is ours.

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;

constexpr std::uint32_t kMsrEfer = 0xc000'0080;
constexpr std::array kRegisterNumbers = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};

}  // namespace

void UnicornCpu::read_control(const Intercept& intercept) {
  const SpecialRegisters now = special();
  std::uint64_t value = 0;
  switch (intercept.control) {
    case 0:
      value = now.cr0;
      break;
    case 2:
      value = now.cr2;
      break;
    case 3:
      value = now.cr3;
      break;
    case 4:
      value = now.cr4;
      break;
    case 8:
      value = now.cr8;
      break;
    default:
      break;
  }
  engine_->set(kRegisterNumbers[intercept.reg], value);
}

std::optional<CpuExit> UnicornCpu::write_control(const Intercept& intercept) {
  std::uint64_t value = engine_->get(kRegisterNumbers[intercept.reg]);
  if (code_size() != CodeSize::k64) value &= 0xffff'ffffU;
  switch (intercept.control) {
    case 0: {
      const SpecialRegisters before = special();
      SpecialRegisters after = before;
      after.cr0 = value | kCr0ExtensionType;
      const bool enable = (value & kCr0Paging) != 0 && (before.cr0 & kCr0Paging) == 0;
      if ((value & kCr0Paging) != 0 && (value & kCr0ProtectedMode) == 0)
        return exit_for(CpuExit::Reason::kShutdown);
      if (enable && (before.efer & kEferLongModeEnable) != 0) {
        if ((before.cr4 & kCr4Pae) == 0) return exit_for(CpuExit::Reason::kShutdown);
        after.efer |= kEferLongModeActive;
      }
      if ((value & kCr0Paging) == 0) after.efer &= ~kEferLongModeActive;
      constexpr std::uint64_t kReloads = kCr0Paging | 3U << 29U;  // and CD, NW
      if (((before.cr0 ^ value) & kReloads) != 0) pdptrs_.reset();
      drop_pages();
      if (((before.cr0 ^ value) & kCr0ProtectedMode) != 0) {
        load(after);
      } else {
        loaded_.cr0 = after.cr0;
        loaded_.efer = after.efer;
        engine_->set(UC_X86_REG_CR0, after.cr0 & ~kCr0Paging);
      }
      return std::nullopt;
    }
    case 2:
      engine_->set(UC_X86_REG_CR2, value);
      loaded_.cr2 = value;
      return std::nullopt;
    case 3:
      // Bit 63 asks to keep translations, which is never an obligation.
      loaded_.cr3 = value & ~(1ULL << 63U);
      pdptrs_.reset();
      drop_pages();
      return std::nullopt;
    case 4: {
      constexpr std::uint64_t kReloads = kCr4Pae | kCr4LargePages | 1U << 7U | 1U << 20U;
      if (((loaded_.cr4 ^ value) & kReloads) != 0) pdptrs_.reset();  // and PGE, SMEP
      loaded_.cr4 = value;
      engine_->set(UC_X86_REG_CR4, value);
      drop_pages();
      return std::nullopt;
    }
    case 8:
      loaded_.cr8 = value & 15U;
      return std::nullopt;
    default:
      return exit_for(CpuExit::Reason::kShutdown);
  }
}

void UnicornCpu::read_msr() {
  const auto index = static_cast<std::uint32_t>(engine_->get(UC_X86_REG_RCX));
  uc_x86_msr msr{index, loaded_.efer};
  if (const auto shared = this->msr(index))
    msr.value = *shared;
  else if (index != kMsrEfer)
    uc_reg_read(engine_->uc(), UC_X86_REG_MSR, &msr);
  engine_->set(UC_X86_REG_RAX, msr.value & 0xffff'ffffU);
  engine_->set(UC_X86_REG_RDX, msr.value >> 32U);
}

bool UnicornCpu::write_msr() {
  const auto index = static_cast<std::uint32_t>(engine_->get(UC_X86_REG_RCX));
  uc_x86_msr msr{index, (engine_->get(UC_X86_REG_RAX) & 0xffff'ffffU) | engine_->get(UC_X86_REG_RDX)
                                                                            << 32U};
  if (const auto shared = shared_msrs_.find(index); shared != shared_msrs_.end()) {
    shared->second = msr.value;
    return true;
  }
  if (index == kMsrEfer) {
    constexpr std::uint64_t kKnown = kEferSyscall | kEferLongModeEnable | kEferNoExecute;
    if ((msr.value & ~(kKnown | kEferLongModeActive)) != 0) return false;
    const bool paging_on = (loaded_.cr0 & kCr0Paging) != 0;
    if (paging_on && ((msr.value ^ loaded_.efer) & kEferLongModeEnable) != 0) return false;
    loaded_.efer = (msr.value & kKnown) | (loaded_.efer & kEferLongModeActive);
    drop_pages();
    // Unicorn keeps long mode on; SYSCALL is all that it must know.
    msr.value = (msr.value & kEferSyscall) | kEferLongModeEnable;
  }
  uc_reg_write(engine_->uc(), UC_X86_REG_MSR, &msr);
  return true;
}

PagingState UnicornCpu::paging() const {
  PagingState state;
  state.enabled = (loaded_.cr0 & kCr0Paging) != 0;
  state.pae = (loaded_.cr4 & kCr4Pae) != 0;
  state.long_mode = (loaded_.efer & kEferLongModeActive) != 0;
  state.write_protect = (loaded_.cr0 & kCr0WriteProtect) != 0;
  state.no_execute = (loaded_.efer & kEferNoExecute) != 0;
  state.large_pages = (loaded_.cr4 & kCr4LargePages) != 0;
  state.cr3 = loaded_.cr3;
  state.pdptrs = pdptrs_.value_or(hw::Pdptrs{});
  state.private_bit = private_bit_;
  return state;
}

bool UnicornCpu::pae_paging() const {
  return (loaded_.cr0 & kCr0Paging) != 0 && (loaded_.cr4 & kCr4Pae) != 0 &&
         (loaded_.efer & kEferLongModeActive) == 0;
}

void UnicornCpu::set_pdptrs(const hw::Pdptrs& pdptrs) {
  drop_pages();
  pdptrs_ = pdptrs;
}

std::expected<Translation, WalkStop> UnicornCpu::translate(std::uint64_t linear,
                                                           GuestAccess access) {
  if (!pdptrs_ && pae_paging()) {
    const auto loaded = load_pdptrs(memory_, paging());
    if (!loaded) return std::unexpected(loaded.error());
    pdptrs_ = *loaded;
  }
  return walk(memory_, paging(), linear, access);
}

CodeSize UnicornCpu::code_size() const {
  const Segment cs = live_segment(loaded_.cs, UC_X86_REG_CS);
  if ((loaded_.efer & kEferLongModeActive) != 0 && cs.l != 0) return CodeSize::k64;
  return cs.db != 0 ? CodeSize::k32 : CodeSize::k16;
}

/// A segment whose selector is still the one that was loaded has its hidden
/// part too; else the guest loaded it, from its own table.
Segment UnicornCpu::live_segment(const Segment& loaded, int reg) const {
  const auto selector = static_cast<std::uint16_t>(engine_->get(reg));
  if (selector == loaded.selector) return loaded;
  if ((loaded_.cr0 & kCr0ProtectedMode) == 0) {
    Segment real = loaded;
    real.selector = selector;
    real.base = std::uint64_t{selector} << 4U;
    return real;
  }
  Segment none;
  none.selector = selector;
  none.unusable = 1;
  none.present = 0;
  if ((selector & 0xfffcU) == 0) return none;
  SpecialRegisters tables;
  engine_->store_tables(tables);
  const std::uint64_t linear = tables.gdt.base + (selector & 0xfff8U);
  const auto found = walk(memory_, paging(), linear, GuestAccess::kRead);
  if (!found) return none;
  const auto mapping = memory_.lookup(found->page, GuestAccess::kRead);
  std::uint64_t descriptor = 0;
  const std::uint64_t offset = linear % kPageSize;
  if (!mapping || offset > kPageSize - sizeof descriptor ||
      !memory_.read(*mapping, offset, writable_bytes_of(descriptor))) {
    return none;
  }
  return segment_of(descriptor, selector);
}

SpecialRegisters UnicornCpu::special() const {
  SpecialRegisters now = loaded_;
  if (!runnable_) return now;
  engine_->store_tables(now);
  now.cs = live_segment(loaded_.cs, UC_X86_REG_CS);
  now.ds = live_segment(loaded_.ds, UC_X86_REG_DS);
  now.es = live_segment(loaded_.es, UC_X86_REG_ES);
  now.fs = live_segment(loaded_.fs, UC_X86_REG_FS);
  now.gs = live_segment(loaded_.gs, UC_X86_REG_GS);
  now.ss = live_segment(loaded_.ss, UC_X86_REG_SS);
  // CLTS and LMSW change Unicorn's copy directly.
  now.cr0 = engine_->get(UC_X86_REG_CR0) | (loaded_.cr0 & kCr0Paging);
  return now;
}

void UnicornCpu::load(const SpecialRegisters& special) {
  drop_pages();
  loaded_ = special;
  pdptrs_.reset();
  runnable_ = check_segments(special).has_value();
  if (runnable_) {
    first_instruction_ = false;
    stop_ = Stop::kExit;  // hooks stay out of the loader
    runnable_ = engine_->load_special(special);
    stop_ = Stop::kNone;
  }
}

Result<void> UnicornCpu::get_special(std::span<std::byte> out) const {
  if (out.size() != sizeof(SpecialRegisters))
    return fail(Errno::kInval, "special registers are 312 bytes");
  const SpecialRegisters now = special();
  std::memcpy(out.data(), &now, sizeof now);
  return {};
}

Result<void> UnicornCpu::set_special(ByteView in) {
  if (in.size() != sizeof(SpecialRegisters))
    return fail(Errno::kInval, "special registers are 312 bytes");
  SpecialRegisters special;
  std::memcpy(&special, in.data(), sizeof special);
  TEEIO_TRY(check_special(special));
  special.cr0 |= kCr0ExtensionType;
  load(special);
  return {};
}

void UnicornCpu::start_flat(const hw::FlatStart& start) {
  load(flat_state(start.cr0, start.cr4, start.efer));
  engine_->set_general(start.registers);
}

void UnicornCpu::set_private_bit(std::uint64_t bit) {
  private_bit_ = bit;
  drop_pages();
}

void UnicornCpu::set_msr(std::uint32_t number, std::uint64_t value) {
  shared_msrs_[number] = value;
}

std::optional<std::uint64_t> UnicornCpu::msr(std::uint32_t number) const {
  const auto found = shared_msrs_.find(number);
  return found == shared_msrs_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace teeio::guest
