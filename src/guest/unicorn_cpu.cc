#include "guest/unicorn_cpu.h"

#include <utility>

#include "guest/cpu_exits.h"
#include "guest/factory.h"
#include "guest/lazy_cpu.h"
#include "guest/unicorn_access.h"

// Out here, because the sum of enumerators inside would meet base's operators.
static constexpr int kInvalidAccess = UC_HOOK_MEM_INVALID;

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;

// Unicorn's cost of a new page grows with the pages that it holds.
constexpr std::size_t kMaxPages = 512;
constexpr std::uint64_t kResumeFlag = 1U << 16U;

}  // namespace

std::unique_ptr<hw::CpuFactory> make_unicorn_factory() {
  return std::make_unique<LazyFactory<UnicornCpu>>();
}

Result<std::unique_ptr<UnicornCpu>> UnicornCpu::create(hw::GuestMemory& memory) {
  TEEIO_ASSIGN(auto engine, Engine::open());
  std::unique_ptr<UnicornCpu> cpu(new UnicornCpu(memory, std::move(engine)));
  TEEIO_TRY(cpu->install_hooks());
  cpu->engine_->set(UC_X86_REG_RIP, 0xfff0);
  cpu->engine_->set(UC_X86_REG_RFLAGS, 2);
  return cpu;
}

Result<void> UnicornCpu::install_hooks() {
  uc_hook hook = 0;
  uc_engine* const uc = engine_->uc();
  // begin > end: the whole address space.
  if (uc_hook_add(uc, &hook, UC_HOOK_CODE, reinterpret_cast<void*>(&code_hook), this, 1, 0) !=
          UC_ERR_OK ||
      uc_hook_add(uc, &hook, kInvalidAccess, reinterpret_cast<void*>(&access_hook), this, 1, 0) !=
          UC_ERR_OK) {
    return fail(Errno::kNoMem, "Unicorn hook");
  }
  // With a hook on reads or writes, wherever it may be, Unicorn looks at a
  // page's rights at every access and not only when its own TLB misses. No
  // linear address is here.
  constexpr std::uint64_t kNowhere = 0xf000'0000'0000'0000;
  static constexpr auto kIgnore = [](uc_engine*, uc_mem_type, std::uint64_t, int, std::int64_t,
                                     void*) {};
  void (*const ignore)(uc_engine*, uc_mem_type, std::uint64_t, int, std::int64_t, void*) = kIgnore;
  if (uc_hook_add(uc, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, reinterpret_cast<void*>(ignore),
                  nullptr, kNowhere, kNowhere) != UC_ERR_OK) {
    return fail(Errno::kNoMem, "Unicorn hook");
  }
  return {};
}

void UnicornCpu::kick() {
  kicked_.store(true);
  attention_.store(true);
}

void UnicornCpu::flush(Gpa, std::uint64_t) {
  flushed_.store(true);
  attention_.store(true);
}

void UnicornCpu::set_read_result(std::uint64_t value) { read_result_ = value; }

hw::CpuRegisters UnicornCpu::registers() const {
  hw::CpuRegisters registers = engine_->general();
  if (resume_flag_) registers.rflags |= kResumeFlag;
  return registers;
}

void UnicornCpu::set_registers(const hw::CpuRegisters& registers) {
  if (registers.rip != engine_->get(UC_X86_REG_RIP)) {
    done_.forget();
    string_input_.reset();
  }
  resume_flag_ = (registers.rflags & kResumeFlag) != 0;
  hw::CpuRegisters engines = registers;
  engines.rflags &= ~kResumeFlag;
  engine_->set_general(engines);
}

hw::CpuExit UnicornCpu::run() {
  if (!runnable_) return check_segments(loaded_) ? shutdown() : unsupported();
  refresh_copies();
  // The access that the last exit asked for: a read gets its value now.
  if (stop_ == Stop::kExit && exit_.reason == CpuExit::Reason::kMmio) done_.answer(read_result_);
  stop_ = Stop::kNone;
  for (;;) {
    attention_.store(false);
    if (flushed_.exchange(false) || drop_soon_) drop_pages();
    const bool used_up = std::exchange(slice_used_up_, false);
    if (kicked_.exchange(false) || used_up) return exit_for(CpuExit::Reason::kKicked);
    if (auto exit = step()) return *exit;
    if (only_finish_ && stop_ == Stop::kIntercept) {  // it was the engine's own
      only_finish_ = false;
      return exit_for(CpuExit::Reason::kKicked);
    }
  }
}

CpuExit UnicornCpu::finish_instruction() {
  only_finish_ = true;
  const CpuExit exit = run();
  const bool at_end = !std::exchange(only_finish_, false);
  return at_end ? exit_for(CpuExit::Reason::kFinished) : exit;
}

std::optional<CpuExit> UnicornCpu::step() {
  stop_ = Stop::kNone;
  first_instruction_ = true;
  engine_->run();
  engine_->restore_snapshot();
  switch (stop_) {
    case Stop::kNone:
      // An exception: nothing delivers it, as with an empty IDT.
      return shutdown();
    case Stop::kAttention:
      return std::nullopt;
    case Stop::kIntercept:
      return perform(intercept_);
    case Stop::kMissing:
      return map_missing();
    case Stop::kExit:
      return exit_;
  }
  return shutdown();
}

std::optional<CpuExit> UnicornCpu::map_missing() {
  const auto found = translate(missing_.linear, missing_.access);
  if (!found) {
    const WalkStop& stop = found.error();
    if (stop.kind == WalkStop::Kind::kNoMapping) return fault(stop.gpa, stop.access);
    return shutdown();
  }
  const std::uint64_t linear = page_of(missing_.linear);
  if (pages_.size() >= kMaxPages) drop_pages();
  // Rights are given as they are used, so that the dirty bit is set by writes
  // and lookup() hears of each kind of access; what was given stays.
  std::uint32_t rights = UC_PROT_READ | right_for(missing_.access);
  if (const auto held = pages_.find(linear); held != pages_.end()) {
    rights |= held->second.rights;
    engine_->unmap(linear);
    pages_.erase(held);
    code_page_ = ~std::uint64_t{0};
  }

  const Gpa gpa = found->page;
  const Gpa exact = gpa + missing_.linear % kPageSize;
  const auto mapping = memory_.lookup(gpa, missing_.access);
  if (!mapping && mapping.error() == hw::GuestMemory::Miss::kFault)
    return fault(exact, missing_.access);
  if (!mapping && mapping.error() == hw::GuestMemory::Miss::kException) return shutdown();
  // A page that only stores of are the owner's is of the bus: the engine has one answer a page.
  const std::span<std::byte> host = mapping && !mapping->mmio && mapping->writable
                                        ? memory_.direct(*mapping)
                                        : std::span<std::byte>{};
  if (host.size() < kPageSize) {
    if (missing_.access == GuestAccess::kFetch)
      return mapping && !mapping->mmio ? map_copy(linear, gpa, *mapping) : unsupported();
    if (!engine_->map(linear, bus_page_->bytes.data(), UC_PROT_NONE)) return shutdown();
    pages_.emplace(linear, Page{gpa, nullptr, UC_PROT_NONE});
    return std::nullopt;
  }
  if (!engine_->map(linear, host.data(), rights)) return shutdown();
  pages_.emplace(linear, Page{gpa, host.data(), rights});
  return std::nullopt;
}

std::optional<CpuExit> UnicornCpu::map_copy(std::uint64_t linear, Gpa page,
                                            const hw::GuestMapping& mapping) {
  auto copy = std::make_unique<BusPage>();
  if (!memory_.read(mapping, 0, copy->bytes)) return unsupported();
  if (!engine_->map(linear, copy->bytes.data(), UC_PROT_EXEC)) return shutdown();
  pages_.emplace(linear, Page{page, nullptr, UC_PROT_EXEC, std::move(copy)});
  return std::nullopt;
}

/// The VMM may have written other code while the guest did not run.
void UnicornCpu::refresh_copies() {
  for (auto at = pages_.begin(); at != pages_.end();) {
    const Page& page = at->second;
    BusPage now;
    const auto mapping = page.copy != nullptr ? memory_.lookup(page.gpa, GuestAccess::kFetch)
                                              : std::unexpected(hw::GuestMemory::Miss::kFault);
    const bool stays = page.copy == nullptr || (mapping && memory_.read(*mapping, 0, now.bytes) &&
                                                now.bytes == page.copy->bytes);
    if (!stays) {
      engine_->unmap(at->first);
      code_page_ = ~std::uint64_t{0};
    }
    at = stays ? std::next(at) : pages_.erase(at);
  }
}

std::optional<CpuExit> UnicornCpu::perform(const Intercept& intercept) {
  switch (intercept.kind) {
    case Intercept::Kind::kHalt:
      advance(intercept.length);
      ended_ = false;  // kvm_emulate_halt(): the exit takes a single step's place
      return exit_for(CpuExit::Reason::kHalt);
    case Intercept::Kind::kHypercall:
      advance(intercept.length);
      return exit_for(CpuExit::Reason::kHypercall);
    case Intercept::Kind::kCpuid:
      advance(intercept.length);
      return exit_for(CpuExit::Reason::kCpuid);
    case Intercept::Kind::kTdcall:
    case Intercept::Kind::kVmgexit: {
      advance(intercept.length);
      CpuExit exit = exit_for(CpuExit::Reason::kGuestCall);
      exit.call = intercept.kind == Intercept::Kind::kTdcall ? hw::GuestCall::kFirmware
                                                             : hw::GuestCall::kHost;
      return exit;
    }
    case Intercept::Kind::kPvalidate:
      return page_call(intercept, hw::GuestCall::kValidatePage);
    case Intercept::Kind::kRmpadjust:
      return page_call(intercept, hw::GuestCall::kAdjustPage);
    case Intercept::Kind::kIn:
    case Intercept::Kind::kOut:
      if (intercept.string) return string_io(intercept);
      return io(intercept);
    case Intercept::Kind::kReadControl:
      read_control(intercept);
      break;
    case Intercept::Kind::kWriteControl:
      if (auto exit = write_control(intercept)) return exit;
      break;
    case Intercept::Kind::kReadMsr:
      read_msr();
      break;
    case Intercept::Kind::kWriteMsr:
      if (!write_msr()) return shutdown();
      break;
    case Intercept::Kind::kReadTsc:
      // Time that passes with the instructions, so that two runs are the same.
      engine_->set(UC_X86_REG_RAX, instructions_ & 0xffff'ffffU);
      engine_->set(UC_X86_REG_RDX, instructions_ >> 32U);
      break;
    case Intercept::Kind::kNone:
    case Intercept::Kind::kInvalidate:
    case Intercept::Kind::kUnsupported:
      return shutdown();
  }
  advance(intercept.length);
  return std::nullopt;
}

std::optional<CpuExit> UnicornCpu::io(const Intercept& intercept) {
  CpuExit exit = exit_for(CpuExit::Reason::kIo);
  exit.size = intercept.size;
  exit.write = intercept.kind == Intercept::Kind::kOut;
  exit.port = intercept.port_in_dx ? static_cast<std::uint16_t>(engine_->get(UC_X86_REG_RDX))
                                   : intercept.port;
  if (exit.write) exit.data = low_bytes(engine_->get(UC_X86_REG_RAX), exit.size);
  port_access_ = exit;
  port_instruction_ = intercept;
  port_rip_ = engine_->get(UC_X86_REG_RIP);
  return exit;
}

/// An instruction about the page at the linear address in RAX.
CpuExit UnicornCpu::page_call(const Intercept& intercept, hw::GuestCall call) {
  const std::uint64_t linear = engine_->get(UC_X86_REG_RAX);
  const auto found = translate(linear, GuestAccess::kRead);
  if (!found)
    return found.error().kind == WalkStop::Kind::kNoMapping
               ? fault(found.error().gpa, found.error().access)
               : shutdown();
  advance(intercept.length);
  CpuExit exit = exit_for(CpuExit::Reason::kGuestCall);
  exit.call = call;
  exit.gpa = found->page;
  return exit;
}

void UnicornCpu::complete_io(std::uint64_t value) {
  const auto access = std::exchange(port_access_, std::nullopt);
  if (!access || engine_->get(UC_X86_REG_RIP) != port_rip_) return;
  if (!access->write) {
    const unsigned size = access->size;
    const std::uint64_t old = engine_->get(UC_X86_REG_RAX);
    // A 4-byte result clears the upper half, shorter ones leave the rest.
    engine_->set(UC_X86_REG_RAX, size == 4
                                     ? low_bytes(value, size)
                                     : (old & ~low_bytes(~0ULL, size)) | low_bytes(value, size));
  }
  advance(port_instruction_.length);
}

void UnicornCpu::advance(std::uint8_t length) {
  engine_->set(UC_X86_REG_RIP, engine_->get(UC_X86_REG_RIP) + length);
  end_instruction();
}

void UnicornCpu::drop_pages() {
  drop_soon_ = false;
  if (pages_.empty()) return;
  for (const auto& [linear, page] : pages_) engine_->unmap(linear);
  pages_.clear();
  code_page_ = ~std::uint64_t{0};
}

}  // namespace teeio::guest
