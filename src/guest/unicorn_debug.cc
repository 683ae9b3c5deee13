// What an owner that debugs the guest is told of: single steps, INT3, breakpoints.
// Source: Intel SDM vol. 3, 19.2 and 19.3.

#include <algorithm>
#include <utility>

#include "guest/cpu_exits.h"
#include "guest/unicorn_cpu.h"

// Out here, because the sum of enumerators inside would meet base's operators.
static constexpr int kAccesses = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE;

namespace teeio::guest {
namespace {

using hw::CpuExit;

constexpr std::uint64_t kDr6Fixed = 0xffff'0ff0;
constexpr std::uint64_t kDr6Access = 1U << 13U;      // BD
constexpr std::uint64_t kDr6SingleStep = 1U << 14U;  // BS
constexpr std::uint64_t kDr7Detect = 1U << 13U;      // GD
constexpr std::uint64_t kWidestAccess = 64;

/// A breakpoint as DR7 has it.
struct Breakpoint {
  enum class Kind : std::uint8_t { kCode = 0, kWrite = 1, kPort = 2, kAccess = 3 };
  bool enabled;
  Kind kind;
  std::uint64_t start;
  std::uint64_t size;
};

Breakpoint breakpoint(const hw::CpuDebug& debug, unsigned number) {
  constexpr std::uint64_t kSizes[] = {1, 2, 8, 4};
  const std::uint64_t control = debug.dr7 >> (16 + 4 * number);
  const std::uint64_t size = kSizes[(control >> 2U) & 3U];
  return {.enabled = debug.breakpoints && ((debug.dr7 >> (2 * number)) & 3U) != 0,
          .kind = static_cast<Breakpoint::Kind>(control & 3U),
          .start = debug.address[number] & ~(size - 1),
          .size = size};
}

bool watches(const Breakpoint& point) {
  return point.enabled &&
         (point.kind == Breakpoint::Kind::kWrite || point.kind == Breakpoint::Kind::kAccess);
}

CpuExit debug_exit(std::uint8_t vector, std::uint64_t dr6) {
  CpuExit exit = exit_for(CpuExit::Reason::kDebug);
  exit.vector = vector;
  exit.dr6 = dr6;
  return exit;
}

/// MOV to or from a debug register.
bool moves_debug_register(std::span<const std::uint8_t> code) {
  std::size_t at = 0;
  while (at < code.size() && ((code[at] & 0xf0U) == 0x40U || code[at] == 0x66)) ++at;
  return at + 1 < code.size() && code[at] == 0x0f && (code[at + 1] == 0x21 || code[at + 1] == 0x23);
}

/// MOV to SS, or POP SS.
bool loads_ss(std::span<const std::uint8_t> code, CodeSize size) {
  constexpr std::uint8_t kPrefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67};
  std::size_t at = 0;
  while (at < code.size() && (std::ranges::find(kPrefixes, code[at]) != std::end(kPrefixes) ||
                              (size == CodeSize::k64 && (code[at] & 0xf0U) == 0x40U)))
    ++at;
  if (at < code.size() && code[at] == 0x17) return size != CodeSize::k64;
  return at + 1 < code.size() && code[at] == 0x8e && (code[at + 1] >> 3U & 7U) == 2;
}

}  // namespace

void UnicornCpu::set_debug(const hw::CpuDebug& debug) {
  debug_ = debug;
  debugging_ = debug.single_step || debug.int3 || debug.breakpoints;
  stepping_ = debug.single_step;
  ended_ = stack_shadow_ = false;
  watched_ = 0;
  for (const uc_hook watch : watches_) uc_hook_del(engine_->uc(), watch);
  watches_.clear();
  for (unsigned i = 0; i < debug.address.size(); ++i) {
    const Breakpoint point = breakpoint(debug, i);
    if (!watches(point)) continue;
    // Unicorn looks at where an access starts.
    const std::uint64_t first = point.start - std::min(point.start, kWidestAccess - 1);
    uc_hook watch = 0;
    if (uc_hook_add(engine_->uc(), &watch, kAccesses, reinterpret_cast<void*>(&watch_hook), this,
                    first, point.start + point.size - 1) == UC_ERR_OK)
      watches_.push_back(watch);
  }
}

void UnicornCpu::watch_hook(uc_engine*, uc_mem_type type, std::uint64_t address, int size,
                            std::int64_t, void* self) {
  static_cast<UnicornCpu*>(self)->on_watched(address, static_cast<unsigned>(size),
                                             type == UC_MEM_WRITE);
}

void UnicornCpu::on_watched(std::uint64_t address, unsigned size, bool write) {
  for (unsigned i = 0; i < debug_.address.size(); ++i) {
    const Breakpoint point = breakpoint(debug_, i);
    if (!watches(point) || (!write && point.kind == Breakpoint::Kind::kWrite)) continue;
    if (address < point.start + point.size && point.start < address + size) watched_ |= 1U << i;
  }
}

void UnicornCpu::end_instruction() {
  done_.forget();
  ended_ = true;
  resume_flag_ = false;
}

bool UnicornCpu::take_step() {
  watched_ = 0;
  return std::exchange(ended_, false) && stepping_;
}

void UnicornCpu::stop_before_next() {
  only_finish_ = false;
  slice_used_up_ = true;
  stop_ = Stop::kAttention;
  uc_emu_stop(engine_->uc());
}

bool UnicornCpu::stops_for_debug(std::uint64_t address, std::span<const std::uint8_t> code) {
  const auto stop = [this](std::uint8_t vector, std::uint64_t dr6) {
    ended_ = false;
    exit_ = debug_exit(vector, dr6);
    stop_ = Stop::kExit;
    uc_emu_stop(engine_->uc());
    return true;
  };
  // Traps of the instruction before come first, then what keeps this one from starting.
  // A load of SS keeps them until the next instruction has ended (SDM vol. 3, 7.8.3).
  const bool trapped = std::exchange(ended_, false);
  const bool shadow = std::exchange(stack_shadow_, loads_ss(code, code_size()));
  if (trapped && !shadow) {
    const std::uint64_t traps = std::exchange(watched_, 0) | (stepping_ ? kDr6SingleStep : 0);
    if (traps != 0) {
      stack_shadow_ = false;
      return stop(hw::kDebugVector, kDr6Fixed | traps);
    }
  }
  std::uint64_t faults = 0;
  for (unsigned i = 0; i < debug_.address.size() && !resume_flag_; ++i) {
    const Breakpoint point = breakpoint(debug_, i);
    if (point.enabled && point.kind == Breakpoint::Kind::kCode && debug_.address[i] == address)
      faults |= 1U << i;
  }
  if (debug_.breakpoints && (debug_.dr7 & kDr7Detect) != 0 && moves_debug_register(code))
    faults |= kDr6Access;
  if (faults != 0) return stop(hw::kDebugVector, kDr6Fixed | faults);
  constexpr std::uint8_t kInt3 = 0xcc;
  if (debug_.int3 && !code.empty() && code[0] == kInt3) return stop(hw::kBreakpointVector, 0);
  return false;
}

}  // namespace teeio::guest
