#include "host/iommufd/event_queue.h"

#include "host/iommufd/context.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {

void EventQueue::set_readiness(mm::Readiness* readiness) {
  const schedule::Lock lock(lock_);
  readiness_ = readiness;
  if (readiness_ != nullptr) readiness_->set_readable(readable_);
}

void EventQueue::tell_readiness(bool readable) {
  if (readable == readable_) return;
  readable_ = readable;
  if (readiness_ != nullptr) readiness_->set_readable(readable);
}

EventQueueFile::EventQueueFile(Context& context, EventQueue& queue)
    : File(queue.type() == ObjectType::kFault ? object::FileKind::kIommuFaults
                                              : object::FileKind::kIommuEvents),
      context_(object::Ref<object::File>::share(context)),
      queue_(queue) {
  queue_.add_user();
}

Result<object::Ref<EventQueueFile>> EventQueueFile::create(Context& context, EventQueue& queue) {
  TEEIO_TRY(schedule::allocate("a queue's file"));
  return object::Ref<EventQueueFile>::adopt(new EventQueueFile(context, queue));
}

void EventQueueFile::set_readiness(std::unique_ptr<mm::Readiness> readiness) {
  readiness_ = std::move(readiness);
  queue_.set_readiness(readiness_.get());
}

void EventQueueFile::disown() {
  if (!context_) return;
  queue_.set_readiness(nullptr);
  queue_.drop_user();  // the queue may be gone from here on
  context_.reset();
}

}  // namespace teeio::iommufd
