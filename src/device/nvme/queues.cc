#include "device/nvme/queues.h"

#include <algorithm>

namespace teeio::nvme {

Result<void> CompletionQueue::post(HostAccess& host, const Completion& completion) {
  const auto entry = completion.encode(phase);
  TEEIO_TRY(host.write(base + std::uint64_t{tail} * kCqEntryBytes, entry));
  if (++tail == entries) {
    tail = 0;
    phase = !phase;
  }
  news = true;
  return {};
}

bool Queues::any_io() const {
  const auto made = [](const auto& queue) { return queue.has_value(); };
  return std::any_of(sq.begin() + 1, sq.end(), made) || std::any_of(cq.begin() + 1, cq.end(), made);
}

bool Queues::in_use(std::uint16_t cq_id) const {
  return std::ranges::any_of(sq, [&](const auto& queue) { return queue && queue->cq == cq_id; });
}

}  // namespace teeio::nvme
