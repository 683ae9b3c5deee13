// The part of UnicornCpu that runs inside a hook, in the middle of an instruction.

#include <cstring>

#include "guest/cpu_exits.h"
#include "guest/unicorn_cpu.h"

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;

constexpr std::uint32_t kUnknownLength = 0xf1f1f1f1;  // of what Unicorn cannot decode
constexpr std::size_t kMaxInstruction = 15;
// After so many the owner may look whether a signal waits: about a millisecond.
constexpr std::uint64_t kSlice = 16384;

GuestAccess access_of(uc_mem_type type) {
  switch (type) {
    case UC_MEM_WRITE:
    case UC_MEM_WRITE_UNMAPPED:
    case UC_MEM_WRITE_PROT:
      return GuestAccess::kWrite;
    case UC_MEM_FETCH:
    case UC_MEM_FETCH_UNMAPPED:
    case UC_MEM_FETCH_PROT:
      return GuestAccess::kFetch;
    case UC_MEM_READ:
    case UC_MEM_READ_UNMAPPED:
    case UC_MEM_READ_PROT:
    case UC_MEM_READ_AFTER:
      return GuestAccess::kRead;
  }
  return GuestAccess::kRead;
}

}  // namespace

void UnicornCpu::code_hook(uc_engine*, std::uint64_t address, std::uint32_t size, void* self) {
  static_cast<UnicornCpu*>(self)->on_code(address, size);
}

bool UnicornCpu::access_hook(uc_engine*, uc_mem_type type, std::uint64_t address, int size,
                             std::int64_t value, void* self) {
  return static_cast<UnicornCpu*>(self)->on_access(type, address, static_cast<unsigned>(size),
                                                   static_cast<std::uint64_t>(value));
}

void UnicornCpu::on_code(std::uint64_t address, std::uint32_t size) {
  if (stop_ != Stop::kNone) return;  // a refused store was the last thing that counts
  if (!first_instruction_) done_.clear();
  first_instruction_ = false;
  next_done_ = 0;
  ++instructions_;
  slice_used_up_ = instructions_ % kSlice == 0;
  if (drop_soon_ || slice_used_up_ || attention_.load()) {
    stop_ = Stop::kAttention;
    uc_emu_stop(engine_->uc());
    return;
  }
  const auto code = code_at(address, size);
  // Only long mode code has REX prefixes; elsewhere those bytes are whole
  // instructions, which end before anything that classify() looks for.
  intercept_ = classify(code, CodeSize::k64);
  if (intercept_.kind == Intercept::Kind::kNone) return;
  if (intercept_.kind == Intercept::Kind::kInvalidate) {
    drop_soon_ = true;
    return;
  }
  if (code_size() == CodeSize::k16) intercept_ = classify(code, CodeSize::k16);
  stop_ = Stop::kIntercept;
  uc_emu_stop(engine_->uc());
}

std::span<const std::uint8_t> UnicornCpu::code_at(std::uint64_t address, std::uint32_t size) {
  const std::size_t length = size == kUnknownLength ? kMaxInstruction : size;
  const std::uint64_t offset = address % kPageSize;
  if (page_of(address) != code_page_) {
    const auto page = pages_.find(page_of(address));
    if (page == pages_.end() || page->second.code() == nullptr) return {};
    code_page_ = page_of(address);
    code_host_ = page->second.code();
  }
  if (offset + length <= kPageSize)
    return {reinterpret_cast<const std::uint8_t*>(code_host_) + offset, length};
  code_.clear();
  for (std::uint64_t at = address; at < address + length; ++at) {
    const auto part = pages_.find(page_of(at));
    if (part == pages_.end() || part->second.code() == nullptr) break;
    code_.push_back(std::to_integer<std::uint8_t>(part->second.code()[at % kPageSize]));
  }
  return code_;
}

bool UnicornCpu::abandon(Stop stop) {
  stop_ = stop;
  engine_->take_snapshot();
  return false;
}

bool UnicornCpu::leave(const CpuExit& exit) {
  exit_ = exit;
  return abandon(Stop::kExit);
}

bool UnicornCpu::on_access(uc_mem_type type, std::uint64_t address, unsigned size,
                           std::uint64_t value) {
  if (stop_ != Stop::kNone) return false;
  const GuestAccess access = access_of(type);
  const auto page = pages_.find(page_of(address));
  if (page == pages_.end() || page->second.host != nullptr || access == GuestAccess::kFetch) {
    // To fetch the next instruction is to be done with the one that ran, so none of
    // its accesses (a call's push) is for the next one to repeat.
    if (access == GuestAccess::kFetch && !first_instruction_) done_.clear();
    missing_ = {address, access};
    return abandon(Stop::kMissing);
  }
  return on_bus(page->second, address, size, access == GuestAccess::kWrite, value);
}

bool UnicornCpu::on_bus(const Page& page, std::uint64_t address, unsigned size, bool write,
                        std::uint64_t value) {
  const std::uint64_t offset = address % kPageSize;
  if (offset + size > kPageSize || size > 8) return leave(shutdown());
  std::byte* const seen = (page.copy != nullptr ? *page.copy : *bus_page_).bytes.data() + offset;
  const Gpa gpa = page.gpa + offset;

  if (next_done_ < done_.size()) {
    const Access& again = done_[next_done_++];
    if (again.gpa != gpa || again.write != write || again.size != size) return leave(shutdown());
    if (!write) std::memcpy(seen, &again.value, size);
    return true;
  }
  Access access{gpa, write, static_cast<std::uint8_t>(size), low_bytes(value, size)};
  const auto mapping = memory_.lookup(page.gpa, write ? GuestAccess::kWrite : GuestAccess::kRead);
  if (!mapping) {
    if (mapping.error() == hw::GuestMemory::Miss::kException) return leave(shutdown());
    if (mapping.error() == hw::GuestMemory::Miss::kFault)
      return leave(fault(gpa, write ? GuestAccess::kWrite : GuestAccess::kRead));
    CpuExit exit = exit_for(CpuExit::Reason::kMmio);
    exit.gpa = gpa;
    exit.access = write ? GuestAccess::kWrite : GuestAccess::kRead;
    exit.size = static_cast<std::uint8_t>(size);
    exit.write = write;
    exit.data = write ? access.value : 0;
    done_.push_back(access);
    return leave(exit);
  }
  const auto bytes = writable_bytes_of(access.value).first(size);
  if (write) {
    if (!memory_.write(*mapping, offset, bytes)) return leave(shutdown());
  } else {
    // What does not answer reads as all ones, as on PCI.
    access.value = 0;
    if (!memory_.read(*mapping, offset, bytes)) access.value = low_bytes(~0ULL, size);
    std::memcpy(seen, &access.value, size);
  }
  done_.push_back(access);
  ++next_done_;
  return true;
}

}  // namespace teeio::guest
