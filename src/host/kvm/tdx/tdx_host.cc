#include "host/kvm/tdx/tdx_host.h"

#include <array>

#include "base/bytes.h"
#include "schedule/task.h"

namespace teeio::kvm {

TdxHost::TdxHost(tdx::Module& module, hw::PhysicalMemory& memory, object::Trace& trace,
                 std::uint32_t iommus, std::uint16_t hkids)
    : module_(module), memory_(memory), trace_(trace), iommus_(iommus) {
  for (std::uint16_t hkid = 1; hkid <= hkids; ++hkid) free_hkids_.insert(hkid);
}

Result<std::uint16_t> TdxHost::alloc_hkid() {
  const schedule::Lock lock(hkid_lock_);
  if (free_hkids_.empty()) return fail(Errno::kNoSpc, "every private key id is in use");
  const std::uint16_t hkid = *free_hkids_.begin();
  free_hkids_.erase(free_hkids_.begin());
  return hkid;
}

void TdxHost::free_hkid(std::uint16_t hkid) {
  const schedule::Lock lock(hkid_lock_);
  free_hkids_.insert(hkid);
}

void TdxHost::give_way() { schedule::yield(); }

void TdxHost::clear_status(Hpa status) {
  constexpr std::array<std::byte, 4> kZero{};
  (void)memory_.write(status, kZero);
}

bool TdxHost::has_passed(Hpa status) {
  std::array<std::byte, 4> word{};
  if (!memory_.read(status, word)) return true;  // not the host's page any more: nothing to see
  return Reader(word).le<std::uint32_t>() == kPassed;
}

Error leaf_error(const tdx::LeafResult& result, std::string_view why) {
  return {result.status.retry() ? Errno::kBusy : Errno::kIo, why};
}

}  // namespace teeio::kvm
