#include "host/iommufd/hw_queue.h"

#include "host/iommufd/context.h"
#include "host/iommufd/hwpt.h"

namespace teeio::iommufd {

HwQueue::HwQueue(Viommu& viommu, std::uint32_t index)
    : Object(kType), viommu_(viommu), index_(index) {
  viommu_.add_user();
}

Result<Hpa> HwQueue::pin(Context& context, const Request& request) {
  const std::uint64_t first = mm::page_base(request.base);
  const std::uint64_t offset = request.base - first;
  std::uint64_t length = 0;
  if (__builtin_add_overflow(request.length, offset + (kPageSize - 1), &length))
    return fail(Errno::kRange, "the queue is longer than memory");
  length = mm::page_base(length);
  TEEIO_ASSIGN(access_, Access::create(context, nullptr, Access::Pages::kPinned));
  TEEIO_TRY(access_->attach(viommu_.hwpt().ioas()));
  TEEIO_ASSIGN(const auto places, access_->pin_pages(first, length, false));
  pinned_iova_ = first;
  pinned_length_ = length;
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i].address != places[i - 1].address + kPageSize)
      return fail(Errno::kFault, "the queue's pages do not follow each other");
  return places.front().address + offset;
}

Result<NewObject<HwQueue>> HwQueue::create(Context& context, Viommu& viommu,
                                           const Request& request) {
  if (viommu.driver() == nullptr || !viommu.driver()->has_queue_type(request.type))
    return fail(Errno::kOpNotSupp, "the vIOMMU has no hardware queues of this type");
  TEEIO_ASSIGN(auto queue,
               NewObject<HwQueue>::reserve(context.objects(), new HwQueue(viommu, request.index)));
  TEEIO_ASSIGN(const Hpa memory, queue->pin(context, request));
  TEEIO_ASSIGN(queue->before_,
               viommu.start_queue(
                   *queue, {.index = request.index, .base = Iova{request.base}, .memory = memory}));
  queue->started_ = true;
  return queue;
}

void HwQueue::destroy() {
  if (started_) viommu_.stop_queue(index_);
  if (before_ != nullptr) before_->drop_user();
  if (access_ != nullptr) {
    if (pinned_length_ != 0) access_->unpin_pages(pinned_iova_, pinned_length_);
    access_->end();
  }
  viommu_.drop_user();
}

}  // namespace teeio::iommufd
