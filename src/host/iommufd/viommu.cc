#include "host/iommufd/viommu.h"

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/hw_queue.h"
#include "host/iommufd/idevice.h"
#include "host/iommufd/veventq.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {

Viommu::Viommu(Context& context, Idevice& idevice, HwptPaging& hwpt)
    : Object(kType), context_(context), iommu_(idevice.device().iommu()), hwpt_(hwpt) {
  hwpt_.add_user();
}

Result<NewObject<Viommu>> Viommu::create(Context& context, Idevice& idevice, HwptPaging& hwpt) {
  TEEIO_ASSIGN(auto viommu,
               NewObject<Viommu>::reserve(context.objects(), new Viommu(context, idevice, hwpt)));
  const VmHandle vm = idevice.vm();
  if (vm.file != nullptr && context.viommu_holds_vm())
    viommu->vm_file_ = object::Ref<object::File>::share(*vm.file);
  context.trace().fact(object::Lane::kIommufd, object::Fact::kViommuCreated, "viommu",
                       {.vm = vm.number, .a = viommu->serial()});
  viommu->created_ = true;
  return viommu;
}

Result<NewObject<Viommu>> Viommu::create(Context& context, Idevice& idevice, HwptPaging& hwpt,
                                         std::uint32_t type, iommu::UserData* data) {
  TEEIO_ASSIGN(auto viommu,
               NewObject<Viommu>::reserve(context.objects(), new Viommu(context, idevice, hwpt)));
  TEEIO_ASSIGN(viommu->driver_, idevice.device().iommu().make_virtual_iommu(
                                    type, hwpt.domain(), *viommu, *viommu, data));
  context.trace().fact(object::Lane::kIommufd, object::Fact::kViommuCreated, "viommu",
                       {.a = viommu->serial()});
  viommu->created_ = true;
  return viommu;
}

Result<void> Viommu::reserve_virt_id(std::uint64_t virt_id) {
  TEEIO_TRY(schedule::allocate("a place for a vDEVICE"));
  const schedule::Lock lock(vdevs_lock_);
  if (!vdevs_.emplace(virt_id, nullptr).second)
    return fail(Errno::kExist, "the vIOMMU has a vDEVICE with this virtual id");
  return {};
}

void Viommu::set_vdevice(std::uint64_t virt_id, Vdevice& vdevice, std::uint32_t group) {
  const schedule::Lock lock(vdevs_lock_);
  vdevs_[virt_id] = &vdevice;
  if (driver_ != nullptr) driver_->add_vdevice(virt_id, group);
}

void Viommu::release_virt_id(std::uint64_t virt_id) {
  const schedule::Lock lock(vdevs_lock_);
  if (driver_ != nullptr) driver_->remove_vdevice(virt_id);
  vdevs_.erase(virt_id);
}

Veventq* Viommu::veventq(std::uint32_t type) {
  for (Veventq* queue : veventqs_)
    if (queue->event_type() == type) return queue;
  return nullptr;
}

Result<NewObject<Veventq>> Viommu::make_veventq(std::uint32_t type, std::uint32_t depth) {
  const schedule::WriteLock lock(veventqs_rwsem_);
  if (veventq(type) != nullptr)
    return fail(Errno::kExist, "the vIOMMU has a queue for events of this type");
  TEEIO_ASSIGN(auto queue,
               NewObject<Veventq>::reserve(context_.objects(), new Veventq(*this, type, depth)));
  veventqs_.push_back(&*queue);
  queue->linked();
  return queue;
}

void Viommu::forget_veventq(const Veventq& queue) {
  const schedule::WriteLock lock(veventqs_rwsem_);
  std::erase(veventqs_, &queue);
}

Result<void> Viommu::report(std::uint32_t type, ByteView event) {
  TEEIO_CHECK(!event.empty(), "an event without data is reported");
  const schedule::ReadLock lock(veventqs_rwsem_);
  Veventq* const queue = veventq(type);
  if (queue == nullptr) return fail(Errno::kOpNotSupp, "the vIOMMU has no queue for the event");
  queue->report(event);
  return {};
}

Result<std::uint64_t> Viommu::share(std::uint64_t length, ByteView contents) {
  return context_.mappings().add(*this, length, contents);
}

Result<HwQueue*> Viommu::start_queue(HwQueue& queue, const iommu::VirtualIommu::Queue& request) {
  const schedule::Lock lock(queues_lock_);
  TEEIO_TRY(schedule::allocate("a place for a queue"));
  TEEIO_ASSIGN(const auto before, driver_->init_queue(request));
  HwQueue* kept = nullptr;
  if (before) {
    kept = queues_.at(*before);
    if (!context_.objects().try_inc_users(*kept).has_value()) {
      driver_->destroy_queue(request.index);
      return fail(Errno::kIo, "the queue before it is going");
    }
  }
  queues_[request.index] = &queue;
  return kept;
}

void Viommu::stop_queue(std::uint32_t index) {
  const schedule::Lock lock(queues_lock_);
  queues_.erase(index);
  driver_->destroy_queue(index);
}

void Viommu::destroy() {
  if (created_)
    context_.trace().fact(object::Lane::kIommufd, object::Fact::kViommuDestroyed, "viommu",
                          {.a = serial()});
  context_.mappings().remove_all_of(*this);
  driver_.reset();
  hwpt_.drop_user();
  vm_file_.reset();
}

}  // namespace teeio::iommufd
