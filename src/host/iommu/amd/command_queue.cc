#include "host/iommu/amd/command_queue.h"

#include <bit>
#include <utility>
#include <vector>

#include "base/check.h"
#include "hw/amd_iommu/registers.h"

namespace teeio::amdvi {
namespace {

using namespace hw::amd;

constexpr std::uint64_t opcode(Command command) {
  return std::uint64_t{std::to_underlying(command)} << 60U;
}
/// CMD_INV_IOMMU_ALL_PAGES_ADDRESS.
constexpr std::uint64_t kAllPages = 0x7fff'ffff'ffff'f000;

}  // namespace

Result<Hpa> alloc_contiguous(hw::PhysicalMemory& memory, std::uint64_t pages) {
  std::vector<Hpa> run, apart;
  Result<Hpa> found = fail(Errno::kNoMem, "no frames that follow each other are free");
  while (run.size() < pages) {
    const auto page = memory.alloc_page();
    if (!page) break;
    if (!run.empty() && *page != run.back() + kPageSize) {
      apart.insert(apart.end(), run.begin(), run.end());
      run.clear();
    }
    run.push_back(*page);
  }
  if (run.size() == pages)
    found = run.front();
  else
    apart.insert(apart.end(), run.begin(), run.end());
  for (const Hpa page : apart) memory.free_page(page);
  return found;
}

Result<std::unique_ptr<CommandQueue>> CommandQueue::create(hw::PhysicalMemory& memory,
                                                           hw::AmdIommu& hardware) {
  TEEIO_ASSIGN(const Hpa base, alloc_contiguous(memory, kPages));
  const auto semaphore = memory.alloc_page();
  if (!semaphore) {
    for (std::uint64_t i = 0; i < kPages; ++i) memory.free_page(base + i * kPageSize);
    return std::unexpected(semaphore.error());
  }
  return std::unique_ptr<CommandQueue>(new CommandQueue(memory, hardware, base, *semaphore));
}

CommandQueue::~CommandQueue() {
  for (std::uint64_t i = 0; i < kPages; ++i) memory_.free_page(base_ + i * kPageSize);
  memory_.free_page(semaphore_);
}

void CommandQueue::put(std::uint64_t low, std::uint64_t high) {
  const bool written = memory_.write_u64(base_ + tail_, low).has_value() &&
                       memory_.write_u64(base_ + tail_ + 8, high).has_value();
  TEEIO_CHECK(written, "the command buffer lies outside of memory");
  tail_ = (tail_ + kCommandBytes) % (kPages * kPageSize);
}

void CommandQueue::run(std::uint64_t low, std::uint64_t high) {
  {
    const schedule::Lock lock(mutex_);
    put(low, high);
    ++waits_;
    put(opcode(Command::kCompletionWait) | raw(semaphore_) | kWaitStore, waits_);
    hardware_.write_register(kCommandTail, tail_);
    const auto done = memory_.read_u64(semaphore_);
    TEEIO_CHECK(done.has_value() && *done == waits_, "the IOMMU did not carry out a command");
  }
  // What COMPLETION_WAIT waits for (2.4.1); not below the queue's lock, which is a leaf.
  hardware_.in_flight(hw::TBit::kShared).drain();
  hardware_.in_flight(hw::TBit::kTrusted).drain();
}

void CommandQueue::invalidate_device(std::uint16_t rid) {
  run(opcode(Command::kInvalidateDevtabEntry) | rid, 0);
}

void CommandQueue::invalidate_pages(std::uint16_t domain, Iova start, std::uint64_t length) {
  const std::uint64_t last = raw(start) + (length - 1);
  const std::uint64_t page_address = raw(page_of(start));
  std::uint64_t high = page_address;
  if (page_address != (last & ~(kPageSize - 1))) {
    // One power of two around both ends: the highest bit in which they differ, and all below.
    const auto highest = static_cast<unsigned>(std::bit_width(raw(start) ^ last)) - 1;
    high = highest > 51 ? kAllPages
                        : (page_address | ((std::uint64_t{1} << highest) - 1)) & ~(kPageSize - 1);
    high |= kPagesSized;
  }
  run(opcode(Command::kInvalidateIommuPages) | std::uint64_t{domain} << 32U, high | kPagesTables);
}

void CommandQueue::invalidate_domain(std::uint16_t domain) {
  run(opcode(Command::kInvalidateIommuPages) | std::uint64_t{domain} << 32U,
      kAllPages | kPagesSized | kPagesTables);
}

void CommandQueue::invalidate_all() { run(opcode(Command::kInvalidateIommuAll), 0); }

}  // namespace teeio::amdvi
