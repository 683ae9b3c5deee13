#include "host/iommufd/fault_queue.h"

#include <numeric>

#include "base/bytes.h"

namespace teeio::iommufd {
namespace {

// abi: struct iommu_hwpt_pgfault and iommu_hwpt_page_response; entry/ asserts them.
struct FaultRecord {
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t pasid;
  std::uint32_t grpid;
  std::uint32_t perm;
  std::uint32_t reserved;
  std::uint64_t addr;
  std::uint32_t length;
  std::uint32_t cookie;
};
struct ResponseRecord {
  std::uint32_t cookie;
  std::uint32_t code;
};
static_assert(sizeof(FaultRecord) == 40 && sizeof(ResponseRecord) == 8);

constexpr std::uint32_t kPasidValid = 1;  // IOMMU_PGFAULT_FLAGS_PASID_VALID
constexpr std::uint32_t kLastPage = 2;    // IOMMU_PGFAULT_FLAGS_LAST_PAGE
constexpr std::uint32_t kLastCode = 1;    // IOMMUFD_PAGE_RESP_SUCCESS, _INVALID

FaultRecord record_of(ObjectId device, const PageRequest& request, std::uint32_t cookie) {
  return {.flags = kLastPage | (request.pasid == 0 ? 0 : kPasidValid),
          .dev_id = device,
          .pasid = request.pasid,
          .grpid = request.group,
          .perm = request.permission,
          .reserved = 0,
          .addr = request.address,
          .length = 0,
          .cookie = cookie};
}

}  // namespace

/// Reads have one size and writes another: what suits both.
std::size_t FaultQueue::record_bytes() const {
  return std::lcm(sizeof(FaultRecord), sizeof(ResponseRecord));
}

void FaultQueue::deliver(std::uint64_t handle, ObjectId device, const PageRequest& request) {
  const schedule::Lock lock(lock_);
  deliver_.push_back({.handle = handle, .device = device, .request = request});
  tell_readiness(true);
}

void FaultQueue::answer_all_of(std::uint64_t handle) {
  const schedule::Lock lock(lock_);
  std::erase_if(deliver_, [&](const Waiting& w) { return w.handle == handle; });
  std::erase_if(response_, [&](const auto& entry) { return entry.second.handle == handle; });
  tell_readiness(!deliver_.empty());
}

std::uint32_t FaultQueue::free_cookie() const {
  std::uint32_t cookie = 1;
  for (const auto& [used, waiting] : response_) {
    if (used != cookie) break;
    ++cookie;
  }
  return cookie;
}

Result<std::size_t> FaultQueue::read(std::span<std::byte> out) {
  if (out.size() % sizeof(FaultRecord) != 0)
    return fail(Errno::kSPipe, "page requests are read as whole records");
  const schedule::Lock lock(lock_);
  std::size_t done = 0;
  while (!deliver_.empty()) {
    if (out.size() - done < sizeof(FaultRecord)) {
      if (done == 0) return fail(Errno::kInval, "no room for a page request");
      break;
    }
    const std::uint32_t cookie = free_cookie();
    const Waiting& next = deliver_.front();
    const FaultRecord record = record_of(next.device, next.request, cookie);
    std::ranges::copy(bytes_of(record), out.begin() + static_cast<std::ptrdiff_t>(done));
    response_.emplace(cookie, next);
    deliver_.pop_front();
    done += sizeof(record);
  }
  tell_readiness(!deliver_.empty());
  return done;
}

void FaultQueue::put_back(ByteView records) {
  const schedule::Lock lock(lock_);
  for (std::size_t end = records.size(); end >= sizeof(FaultRecord); end -= sizeof(FaultRecord)) {
    Reader reader(records.subspan(end - sizeof(std::uint32_t)));  // its last field, the cookie
    const auto waiting = response_.find(reader.le<std::uint32_t>());
    if (waiting == response_.end()) continue;  // answered with its attachment's end
    deliver_.push_front(waiting->second);
    response_.erase(waiting);
  }
  tell_readiness(!deliver_.empty());
}

Result<std::size_t> FaultQueue::write(ByteView in) {
  if (in.size() % sizeof(ResponseRecord) != 0)
    return fail(Errno::kSPipe, "answers are written as whole records");
  const schedule::Lock lock(lock_);
  std::size_t done = 0;
  for (; done < in.size(); done += sizeof(ResponseRecord)) {
    Reader reader(in.subspan(done, sizeof(ResponseRecord)));
    const auto cookie = reader.le<std::uint32_t>();
    const auto code = reader.le<std::uint32_t>();
    if (code <= kLastCode && response_.erase(cookie) == 1) continue;
    if (done == 0) return fail(Errno::kInval, "no page request waits for this answer");
    break;
  }
  return done;
}

void FaultQueue::destroy() {
  const schedule::Lock lock(lock_);
  deliver_.clear();
  response_.clear();
}

}  // namespace teeio::iommufd
