#include "guest/engine.h"

#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace teeio::guest {
namespace {

// In the order of hw::CpuRegisters.
constexpr std::array kGeneral = {UC_X86_REG_RAX, UC_X86_REG_RBX,   UC_X86_REG_RCX, UC_X86_REG_RDX,
                                 UC_X86_REG_RSI, UC_X86_REG_RDI,   UC_X86_REG_RSP, UC_X86_REG_RBP,
                                 UC_X86_REG_R8,  UC_X86_REG_R9,    UC_X86_REG_R10, UC_X86_REG_R11,
                                 UC_X86_REG_R12, UC_X86_REG_R13,   UC_X86_REG_R14, UC_X86_REG_R15,
                                 UC_X86_REG_RIP, UC_X86_REG_RFLAGS};
static_assert(sizeof(hw::CpuRegisters) == kGeneral.size() * sizeof(std::uint64_t));

// Where the loader that loads segments lives for the moment that it runs: its
// code, its descriptor table, its stack.
constexpr std::uint64_t kLoaderCode = kPageSize;
constexpr std::uint64_t kLoaderTable = 2 * kPageSize;
constexpr std::uint64_t kTableSize = 0x10000;
constexpr std::uint64_t kLoaderStack = kLoaderTable + kTableSize;
constexpr std::uint64_t kLoaderSize = kLoaderStack + kPageSize - kLoaderCode;

struct alignas(kPageSize) StubMemory {
  std::array<std::byte, kLoaderSize> bytes{};
};

// Selectors for what is loaded under another name and renamed after; at the
// table's end, out of the way of the guest's own.
constexpr std::uint16_t kCodeSelector = 0xffc0;
constexpr std::uint16_t kFirstDataSelector = 0xffc8;

template <class T>
void put(std::span<std::byte> memory, std::uint64_t at, const T& value) {
  std::memcpy(memory.data() + at, &value, sizeof value);
}

// The data segments in the loader's order; the last two are FS and GS.
std::array<const Segment*, 5> data_segments(const SpecialRegisters& special) {
  return {&special.ds, &special.es, &special.ss, &special.fs, &special.gs};
}

// Unicorn lets us rename all segments but FS and GS, which must be loaded by
// their own selectors; without a descriptor of their own, they have a base only.
std::uint16_t loader_selector(const Segment& segment, std::size_t index) {
  constexpr std::uint16_t kLocalTable = 4;
  constexpr std::uint16_t kIndexBits = 0xfff8;
  if (segment.unusable != 0 || segment.present == 0) return 0;
  const bool rename = index < 3;
  if (rename) return static_cast<std::uint16_t>(kFirstDataSelector + 8 * index);
  const bool own = (segment.selector & kLocalTable) == 0 && segment.selector < kCodeSelector;
  return own ? segment.selector & kIndexBits : 0;
}

// MOV AX, imm16 and MOV Sreg, AX for each; RETFQ to what follows.
std::vector<std::uint8_t> loader_code(std::span<const Segment* const> data) {
  constexpr std::array<std::uint8_t, 5> kModrm = {0xd8, 0xc0, 0xd0, 0xe0, 0xe8};
  std::vector<std::uint8_t> code;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint16_t selector = loader_selector(*data[i], i);
    code.insert(code.end(), {0x66, 0xb8, static_cast<std::uint8_t>(selector),
                             static_cast<std::uint8_t>(selector >> 8U), 0x8e, kModrm[i]});
  }
  code.insert(code.end(), {0x48, 0xcb});
  return code;
}

uc_x86_mmr table_of(const DescriptorTable& table) {
  uc_x86_mmr value{};
  value.base = table.base;
  value.limit = table.limit;
  return value;
}

uc_x86_mmr system_of(const Segment& segment) {
  uc_x86_mmr value{};
  value.base = segment.base;
  value.limit = segment.limit;
  value.selector = segment.selector;
  value.flags = static_cast<std::uint32_t>(descriptor_of(segment) >> 32U) & 0x00f0'ff00U;
  return value;
}

}  // namespace

Result<void> check_segments(const SpecialRegisters& special) {
  if (special.cs.base != 0) return fail(Errno::kInval, "code segment is not flat");
  if (special.cs.dpl != 0 || special.ss.dpl != 0)
    return fail(Errno::kInval, "vCPU does not start at privilege level 0");
  return {};
}

Result<std::unique_ptr<Engine>> Engine::open() {
  uc_engine* uc = nullptr;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK)
    return fail(Errno::kNoMem, "Unicorn cannot be opened");
  std::unique_ptr<Engine> engine(new Engine(uc));
  if (uc_context_alloc(uc, &engine->pristine_) != UC_ERR_OK ||
      uc_context_alloc(uc, &engine->snapshot_) != UC_ERR_OK) {
    return fail(Errno::kNoMem, "Unicorn context");
  }
  uc_context_save(uc, engine->pristine_);
  // No end address: only hooks stop it.
  uc_ctl_exits_enable(uc);
  return engine;
}

Engine::~Engine() {
  if (pristine_ != nullptr) uc_context_free(pristine_);
  if (snapshot_ != nullptr) uc_context_free(snapshot_);
  uc_close(uc_);
}

void Engine::run() {
  // Who stopped it knows why; the rest are exceptions, which are all one.
  uc_emu_start(uc_, get(UC_X86_REG_RIP), 0, 0, 0);
}

void Engine::take_snapshot() {
  uc_context_save(uc_, snapshot_);
  // While code runs the arithmetic flags are elsewhere, and the next start
  // takes them from RFLAGS.
  snapshot_flags_ = get(UC_X86_REG_RFLAGS);
  has_snapshot_ = true;
}

void Engine::restore_snapshot() {
  if (!has_snapshot_) return;
  uc_context_restore(uc_, snapshot_);
  set(UC_X86_REG_RFLAGS, snapshot_flags_);
  has_snapshot_ = false;
}

Result<void> Engine::map(std::uint64_t linear_page, std::byte* host, std::uint32_t protection) {
  if (uc_mem_map_ptr(uc_, linear_page, kPageSize, protection, host) != UC_ERR_OK)
    return fail(Errno::kNoMem, "Unicorn cannot map a page");
  return {};
}

void Engine::unmap(std::uint64_t linear_page) {
  // What was translated from the page is found by where the page lies in
  // Unicorn's memory, which the next page may be given. (Forgetting all code at
  // once takes Unicorn 50 ms and more.)
  uc_ctl_remove_cache(uc_, linear_page, linear_page + kPageSize);
  const uc_err error = uc_mem_unmap(uc_, linear_page, kPageSize);
  TEEIO_CHECK(error == UC_ERR_OK, "a page is unmapped that was mapped");
}

std::uint64_t Engine::get(int reg) const {
  std::uint64_t value = 0;
  uc_reg_read(uc_, reg, &value);
  return value;
}

void Engine::set(int reg, std::uint64_t value) { uc_reg_write(uc_, reg, &value); }

hw::CpuRegisters Engine::general() const {
  std::array<std::uint64_t, kGeneral.size()> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = get(kGeneral[i]);
  return std::bit_cast<hw::CpuRegisters>(values);
}

void Engine::set_general(const hw::CpuRegisters& registers) {
  const auto values = std::bit_cast<std::array<std::uint64_t, kGeneral.size()>>(registers);
  for (std::size_t i = 0; i < values.size(); ++i) set(kGeneral[i], values[i]);
}

bool Engine::load_special(const SpecialRegisters& special) {
  const hw::CpuRegisters registers = general();
  std::array<std::array<std::uint64_t, 2>, 16> xmm{};
  for (std::size_t i = 0; i < xmm.size(); ++i)
    uc_reg_read(uc_, UC_X86_REG_XMM0 + static_cast<int>(i), xmm[i].data());
  // The loader is 64-bit code, whatever mode the guest was in.
  uc_context_restore(uc_, pristine_);
  const bool loaded = run_segment_loader(special);

  for (std::size_t i = 0; i < xmm.size(); ++i)
    uc_reg_write(uc_, UC_X86_REG_XMM0 + static_cast<int>(i), xmm[i].data());
  const uc_x86_mmr gdt = table_of(special.gdt);
  const uc_x86_mmr idt = table_of(special.idt);
  const uc_x86_mmr tr = system_of(special.tr);
  const uc_x86_mmr ldt = system_of(special.ldt);
  uc_reg_write(uc_, UC_X86_REG_GDTR, &gdt);
  uc_reg_write(uc_, UC_X86_REG_IDTR, &idt);
  uc_reg_write(uc_, UC_X86_REG_TR, &tr);
  uc_reg_write(uc_, UC_X86_REG_LDTR, &ldt);
  // In 64-bit mode these four writes set the visible part alone.
  set(UC_X86_REG_CS, special.cs.selector);
  set(UC_X86_REG_DS, special.ds.selector);
  set(UC_X86_REG_ES, special.es.selector);
  set(UC_X86_REG_SS, special.ss.selector);
  set(UC_X86_REG_FS_BASE, special.fs.base);
  set(UC_X86_REG_GS_BASE, special.gs.base);
  set(UC_X86_REG_CR2, special.cr2);
  set(UC_X86_REG_CR4, special.cr4);
  set_general(registers);
  return loaded;
}

bool Engine::run_segment_loader(const SpecialRegisters& special) {
  const auto data = data_segments(special);
  const auto memory = std::make_unique<StubMemory>();
  const std::span<std::byte> loader = memory->bytes;

  const std::vector<std::uint8_t> code = loader_code(data);
  std::memcpy(loader.data(), code.data(), code.size());
  // Runs in the new code segment, and reads the same in 16, 32 and 64 bits:
  // only a MOV to CR0 tells Unicorn's translator about protected mode.
  constexpr std::array<std::uint8_t, 3> kMovCr0Rcx = {0x0f, 0x22, 0xc1};
  const std::uint64_t landing = kLoaderCode + code.size();
  std::uint64_t exit = landing + kMovCr0Rcx.size();
  std::memcpy(loader.data() + code.size(), kMovCr0Rcx.data(), kMovCr0Rcx.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint16_t selector = loader_selector(*data[i], i);
    if (selector != 0) put(loader, kLoaderTable - kLoaderCode + selector, descriptor_of(*data[i]));
  }
  put(loader, kLoaderTable - kLoaderCode + kCodeSelector, descriptor_of(special.cs));
  put(loader, kLoaderStack - kLoaderCode, landing);
  put(loader, kLoaderStack - kLoaderCode + 8, std::uint64_t{kCodeSelector});

  uc_x86_mmr table{};
  table.base = kLoaderTable;
  table.limit = kTableSize - 1;
  uc_reg_write(uc_, UC_X86_REG_GDTR, &table);
  uc_mem_map_ptr(uc_, kLoaderCode, kLoaderSize, UC_PROT_ALL, loader.data());
  set(UC_X86_REG_RSP, kLoaderStack);
  set(UC_X86_REG_RCX, special.cr0 & ~kCr0Paging);
  uc_ctl_set_exits(uc_, &exit, std::size_t{1});
  const uc_err error = uc_emu_start(uc_, kLoaderCode, 0, 0, 0);
  uc_ctl_set_exits(uc_, &exit, std::size_t{0});
  uc_ctl_remove_cache(uc_, kLoaderCode, kLoaderCode + kPageSize);
  uc_mem_unmap(uc_, kLoaderCode, kLoaderSize);
  return error == UC_ERR_OK;
}

void Engine::store_tables(SpecialRegisters& special) const {
  uc_x86_mmr table{};
  uc_reg_read(uc_, UC_X86_REG_GDTR, &table);
  special.gdt.base = table.base;
  special.gdt.limit = static_cast<std::uint16_t>(table.limit);
  uc_reg_read(uc_, UC_X86_REG_IDTR, &table);
  special.idt.base = table.base;
  special.idt.limit = static_cast<std::uint16_t>(table.limit);
}

}  // namespace teeio::guest
