// INS and OUTS. Source: Intel SDM vol. 2; how much is done at once, and where the registers are
// meanwhile: Linux arch/x86/kvm/emulate.c, pio_in_emulated() and em_out().

#include <algorithm>

#include "guest/cpu_exits.h"
#include "guest/unicorn_cpu.h"

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;
using Miss = hw::GuestMemory::Miss;

constexpr std::uint64_t kDirectionFlag = 1U << 10U;
constexpr std::uint64_t kMostAtOnce = 1024;  // bytes: struct read_cache

std::uint64_t address_mask(CodeSize code, bool other_size) {
  if (code == CodeSize::k64) return other_size ? 0xffff'ffffU : ~std::uint64_t{0};
  return (code == CodeSize::k32) == other_size ? 0xffffU : 0xffff'ffffU;
}

CpuExit stop_of(const WalkStop& stop) {
  return stop.kind == WalkStop::Kind::kNoMapping ? fault(stop.gpa, stop.access) : shutdown();
}

}  // namespace

/// Of DS or the prefix's segment for OUTS, of ES for INS.
std::uint64_t UnicornCpu::string_base(const Intercept& now) const {
  const SpecialRegisters state = special();
  const std::uint8_t prefix = now.kind == Intercept::Kind::kIn ? 0x26 : now.segment;
  if (prefix == 0x64) return state.fs.base;
  if (prefix == 0x65) return state.gs.base;
  if (code_size() == CodeSize::k64) return 0;
  switch (prefix) {
    case 0x26:
      return state.es.base;
    case 0x2e:
      return state.cs.base;
    case 0x36:
      return state.ss.base;
    default:
      return state.ds.base;
  }
}

std::uint64_t UnicornCpu::string_address(const Intercept& now, int reg) const {
  const std::uint64_t linear =
      string_base(now) + (engine_->get(reg) & address_mask(code_size(), now.address_size));
  return code_size() == CodeSize::k64 ? linear : linear & 0xffff'ffffU;
}

/// The index goes on by an element. A repeat stays where it is, until its counter is 0 when it
/// starts.
void UnicornCpu::step_string(const Intercept& now, int reg) {
  const std::uint64_t mask = address_mask(code_size(), now.address_size);
  const auto put = [&](int to, std::uint64_t value) {
    // 4 bytes clear the upper half, 2 leave the rest.
    const std::uint64_t kept = mask == 0xffffU ? engine_->get(to) & ~mask : 0;
    engine_->set(to, kept | (value & mask));
  };
  const bool down = (engine_->get(UC_X86_REG_RFLAGS) & kDirectionFlag) != 0;
  put(reg, down ? engine_->get(reg) - now.size : engine_->get(reg) + now.size);
  done_.forget();
  if (!now.repeated) return advance(now.length);
  put(UC_X86_REG_RCX, engine_->get(UC_X86_REG_RCX) - 1);
  resume_flag_ = true;
}

std::optional<CpuExit> UnicornCpu::string_io(const Intercept& now) {
  if (string_input_) return store_input();
  const std::uint64_t mask = address_mask(code_size(), now.address_size);
  const std::uint64_t count = now.repeated ? engine_->get(UC_X86_REG_RCX) & mask : 1;
  if (count == 0) {
    advance(now.length);
    return std::nullopt;
  }
  return now.kind == Intercept::Kind::kIn ? string_input(now, count) : string_output(now);
}

std::optional<CpuExit> UnicornCpu::string_output(const Intercept& now) {
  CpuExit exit = exit_for(CpuExit::Reason::kIo);
  exit.size = now.size;
  exit.write = true;
  exit.count = 1;
  exit.port = static_cast<std::uint16_t>(engine_->get(UC_X86_REG_RDX));
  if (auto stop = touch(string_address(now, UC_X86_REG_RSI), now.size, false, exit.data))
    return stop;
  step_string(now, UC_X86_REG_RSI);
  ended_ = false;  // the exit takes a single step's place
  port_access_.reset();
  return exit;
}

std::optional<CpuExit> UnicornCpu::string_input(const Intercept& now, std::uint64_t count) {
  const std::uint64_t at = string_address(now, UC_X86_REG_RDI);
  const auto found = translate(at, GuestAccess::kWrite);
  if (!found) return stop_of(found.error());
  // The page comes in before the port is read, so that the bytes have a place.
  const auto mapping = memory_.lookup(found->page, GuestAccess::kWrite);
  if (!mapping && mapping.error() == Miss::kFault)
    return fault(found->page + at % kPageSize, GuestAccess::kWrite);
  const bool down = (engine_->get(UC_X86_REG_RFLAGS) & kDirectionFlag) != 0;
  const std::uint64_t room = down ? at % kPageSize : kPageSize - at % kPageSize;
  CpuExit exit = exit_for(CpuExit::Reason::kIo);
  exit.size = now.size;
  exit.count = static_cast<std::uint16_t>(
      std::max<std::uint64_t>(1, std::min({room, kMostAtOnce / now.size, count})));
  exit.port = static_cast<std::uint16_t>(engine_->get(UC_X86_REG_RDX));
  port_access_ = exit;
  port_instruction_ = now;
  port_rip_ = engine_->get(UC_X86_REG_RIP);
  return exit;
}

void UnicornCpu::complete_input(ByteView data) {
  const auto access = std::exchange(port_access_, std::nullopt);
  if (!access || engine_->get(UC_X86_REG_RIP) != port_rip_) return;
  string_input_ = StringInput{.instruction = port_instruction_, .bytes = {}, .next = 0};
  string_input_->bytes.assign(data.begin(), data.end());
  // What is no memory (any more) is for run(), which can say so.
  const auto is_memory = [this](std::uint64_t at) {
    const auto found = translate(at, GuestAccess::kWrite);
    return found && memory_.lookup(found->page, GuestAccess::kWrite).has_value();
  };
  while (string_input_) {
    const std::uint64_t at = string_address(port_instruction_, UC_X86_REG_RDI);
    if (!is_memory(at) || !is_memory(at + access->size - 1)) return;
    if (store_element()) return;
  }
}

std::optional<CpuExit> UnicornCpu::store_input() {
  while (string_input_)
    if (auto stop = store_element()) return stop;
  return std::nullopt;
}

std::optional<CpuExit> UnicornCpu::store_element() {
  const Intercept now = string_input_->instruction;
  const ByteView bytes = ByteView(string_input_->bytes).subspan(string_input_->next, now.size);
  std::uint64_t value = 0;
  std::ranges::copy(bytes, writable_bytes_of(value).begin());
  if (auto stop = touch(string_address(now, UC_X86_REG_RDI), now.size, true, value)) return stop;
  string_input_->next += now.size;
  if (string_input_->next >= string_input_->bytes.size()) string_input_.reset();
  step_string(now, UC_X86_REG_RDI);
  return std::nullopt;
}

/// A load's value is added to `value`.
std::optional<CpuExit> UnicornCpu::touch(std::uint64_t linear, unsigned size, bool write,
                                         std::uint64_t& value) {
  done_.start();
  for (unsigned at = 0; at < size;) {
    const std::uint64_t offset = (linear + at) % kPageSize;
    const auto part = static_cast<unsigned>(std::min<std::uint64_t>(size - at, kPageSize - offset));
    const auto found = translate(linear + at, write ? GuestAccess::kWrite : GuestAccess::kRead);
    if (!found) return stop_of(found.error());
    std::uint64_t seen = 0;
    auto exit = done_.make({.page = found->page,
                            .offset = offset,
                            .size = part,
                            .write = write,
                            .value = value >> (8 * at)},
                           writable_bytes_of(seen).data());
    if (exit) {
      exit_ = *exit;
      stop_ = Stop::kExit;
      return exit;
    }
    value |= seen << (8 * at);
    at += part;
  }
  return std::nullopt;
}

}  // namespace teeio::guest
