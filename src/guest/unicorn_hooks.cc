// The part of UnicornCpu that runs inside a hook, in the middle of an instruction.

#include "guest/cpu_exits.h"
#include "guest/unicorn_access.h"
#include "guest/unicorn_cpu.h"

namespace teeio::guest {
namespace {

using hw::CpuExit;
using hw::GuestAccess;

constexpr std::uint32_t kUnknownLength = 0xf1f1f1f1;  // of what Unicorn cannot decode
constexpr std::size_t kMaxInstruction = 15;
// After so many the owner may look whether a signal waits: about a millisecond.
constexpr std::uint64_t kSlice = 16384;

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
  if (!first_instruction_) {
    end_instruction();
    if (only_finish_) return stop_before_next();
  }
  first_instruction_ = false;
  done_.start();
  ++instructions_;
  slice_used_up_ = instructions_ % kSlice == 0;
  if (drop_soon_ || slice_used_up_ || attention_.load()) {
    stop_ = Stop::kAttention;
    uc_emu_stop(engine_->uc());
    return;
  }
  const auto code = code_at(address, size);
  if (debugging_ && stops_for_debug(address, code)) return;
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
    if (access == GuestAccess::kFetch && !first_instruction_) {
      end_instruction();
      if (only_finish_) {
        only_finish_ = false;
        slice_used_up_ = true;
        return abandon(Stop::kAttention);
      }
    }
    missing_ = {address, access};
    return abandon(Stop::kMissing);
  }
  return on_bus(page->second, address, size, access == GuestAccess::kWrite, value);
}

bool UnicornCpu::on_bus(const Page& page, std::uint64_t address, unsigned size, bool write,
                        std::uint64_t value) {
  const std::uint64_t offset = address % kPageSize;
  std::byte* const seen = (page.copy != nullptr ? *page.copy : *bus_page_).bytes.data() + offset;
  const auto exit = done_.make(
      {.page = page.gpa, .offset = offset, .size = size, .write = write, .value = value}, seen);
  return !exit || leave(*exit);
}

}  // namespace teeio::guest
