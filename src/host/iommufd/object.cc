#include "host/iommufd/object.h"

#include "base/check.h"
#include "schedule/fault_point.h"
#include "schedule/seeded_bug.h"
#include "schedule/task.h"

namespace teeio::iommufd {
namespace {

/// xa_limit_31b.
constexpr ObjectId kLastId = 0x7fff'ffff;

}  // namespace

void Object::drop_user() {
  TEEIO_CHECK(!users_.decrement(), "an iommufd object loses its last user outside of destroy");
}

Object* ObjectTable::load(ObjectId id) { return id < slots_.size() ? slots_[id].object : nullptr; }

void ObjectTable::store(ObjectId id, Slot slot) {
  slots_[id] = slot;
  if (slot.state == SlotState::kFree && id < lowest_free_) lowest_free_ = id;
}

Result<void> ObjectTable::reserve(Object& object) {
  auto reserved = schedule::allocate("an iommufd object");
  if (reserved.has_value()) reserved = schedule::allocate("an iommufd object's id");
  if (reserved.has_value()) reserved = take_id(object);
  if (reserved.has_value()) return {};
  object.abort();  // whatever its constructor uses
  delete &object;
  return reserved;
}

Result<void> ObjectTable::take_id(Object& object) {
  const schedule::WriteLock lock(xa_lock_);
  ObjectId id = lowest_free_;
  while (id < slots_.size() && slots_[id].state != SlotState::kFree) ++id;
  if (id > kLastId) return fail(Errno::kNoSpc, "every iommufd object id is in use");
  if (id >= slots_.size()) slots_.resize(id + 1);
  lowest_free_ = id + 1;
  store(id, {SlotState::kReserved, nullptr});
  object.id_ = id;
  object.serial_ = next_serial_++;
  return {};
}

void ObjectTable::finalize(Object& object) {
  const schedule::WriteLock lock(xa_lock_);
  TEEIO_CHECK(slots_[object.id_].state == SlotState::kReserved && load(object.id_) == nullptr,
              "an iommufd object is finalized twice");
  store(object.id_, {SlotState::kLive, &object});
}

void ObjectTable::abort_and_destroy(Object& object) {
  object.abort();
  {
    const schedule::WriteLock lock(xa_lock_);
    TEEIO_CHECK(slots_[object.id_].state == SlotState::kReserved ||
                    schedule::seeded("vdevice-visible-early"),
                "an iommufd object is aborted after it was published");
    store(object.id_, {SlotState::kFree, nullptr});
  }
  TEEIO_CHECK(object.users_.decrement(), "an aborted iommufd object has users");
  delete &object;
}

bool ObjectTable::lock_object(Object& object) {
  if (!object.users_.increment_not_zero()) return false;
  if (object.wait_cnt_.increment_not_zero()) return true;
  object.drop_user();
  return false;
}

Result<Object*> ObjectTable::get(ObjectId id, ObjectType type) {
  const schedule::ReadLock lock(xa_lock_);
  Object* object = load(id);
  if (object == nullptr) return fail(Errno::kNoEnt, "no iommufd object has this id");
  if (type != ObjectType::kAny && object->type_ != type)
    return fail(Errno::kNoEnt, "the iommufd object with this id is of another type");
  if (!lock_object(*object)) return fail(Errno::kNoEnt, "the iommufd object is being destroyed");
  return object;
}

void ObjectTable::put(Object& object) {
  // Users first, so that a waiting destroyer never sees wait_cnt zero while a
  // user is left: iommufd_put_object().
  object.drop_user();
  if (!object.wait_cnt_.decrement()) return;
  const schedule::Lock lock(wait_lock_);
  destroy_wait_.notify_all();
}

Result<void> ObjectTable::try_inc_users(Object& object) {
  const schedule::ReadLock lock(xa_lock_);
  if (load(object.id_) != &object) return fail(Errno::kBusy, "the object is being destroyed");
  object.add_user();
  return {};
}

Result<void> ObjectTable::dec_wait(Object& object) {
  if (object.wait_cnt_.decrement()) return {};
  object.pre_destroy();
  const std::uint64_t deadline = schedule::now_ns() + kDestroyWaitNs;
  {
    const schedule::Lock lock(wait_lock_);
    while (object.wait_cnt_.load() != 0) {
      const std::uint64_t now = schedule::now_ns();
      if (now >= deadline) break;
      destroy_wait_.wait_for(wait_lock_, deadline - now);
    }
  }
  if (object.wait_cnt_.load() == 0) return {};
  trace_.fact(object::Lane::kIommufd, object::Fact::kRefLeaked,
              "iommufd object still in use after 60 s", {.a = 1});
  object.wait_cnt_.increment();
  return fail(Errno::kBusy, "the iommufd object stayed in use for 60 seconds");
}

Result<void> ObjectTable::remove(Object* to_destroy, ObjectId id, Wait wait, Leave leave) {
  if (wait == Wait::kYes) {
    if (auto waited = dec_wait(*to_destroy); !waited.has_value()) {
      to_destroy->drop_user();  // left for the table's release
      return waited;
    }
  }
  Object* object = nullptr;
  {
    const schedule::WriteLock lock(xa_lock_);
    object = load(id);
    TEEIO_CHECK(to_destroy == nullptr || object == to_destroy,
                "an iommufd object is destroyed under another's id");
    if (object == nullptr) return fail(Errno::kNoEnt, "no iommufd object has this id");
    if (to_destroy != nullptr) to_destroy->drop_user();
    if (!object->users_.decrement_if_one()) {
      if (wait == Wait::kYes) object->wait_cnt_.set(1);  // the table's own again
      return fail(Errno::kBusy, "other iommufd objects use this one");
    }
    const auto state = leave == Leave::kTombstone ? SlotState::kReserved : SlotState::kFree;
    store(id, {state, nullptr});
    if (compat_ioas_ == object) compat_ioas_ = nullptr;
  }
  // With no users left, what wait_cnt still counts is a put() on its way.
  if (wait == Wait::kNo) TEEIO_TRY(dec_wait(*object));
  object->destroy();
  delete object;
  return {};
}

Result<void> ObjectTable::destroy(ObjectId id) {
  return remove(nullptr, id, Wait::kNo, Leave::kNothing);
}

void ObjectTable::destroy_user(Object& object) {
  TEEIO_CHECK(remove(&object, object.id_, Wait::kYes, Leave::kNothing).has_value(),
              "an iommufd object has users when its owner destroys it");
}

void ObjectTable::tombstone_user(Object& object) {
  TEEIO_CHECK(remove(&object, object.id_, Wait::kYes, Leave::kTombstone).has_value(),
              "an iommufd object has users when it becomes a tombstone");
}

void ObjectTable::put_and_try_destroy(Object& object) {
  (void)remove(&object, object.id_, Wait::kNo, Leave::kNothing);
}

void ObjectTable::set_compat_ioas(Object* ioas) {
  const schedule::WriteLock lock(xa_lock_);
  compat_ioas_ = ioas;
}

bool ObjectTable::try_set_compat_ioas(Object& ioas) {
  Object* set = nullptr;
  {
    const schedule::WriteLock lock(xa_lock_);
    if (compat_ioas_ == nullptr || !lock_object(*compat_ioas_)) {
      compat_ioas_ = &ioas;
      return true;
    }
    set = compat_ioas_;
  }
  put(*set);
  return false;
}

Result<Object*> ObjectTable::compat_ioas() {
  const schedule::ReadLock lock(xa_lock_);
  if (compat_ioas_ == nullptr || !lock_object(*compat_ioas_))
    return fail(Errno::kNoDev, "no IOAS is set for VFIO's container calls");
  return compat_ioas_;
}

std::vector<ObjectId> ObjectTable::ids_of(ObjectType type) {
  const schedule::ReadLock lock(xa_lock_);
  std::vector<ObjectId> ids;
  for (ObjectId id = 1; id < slots_.size(); ++id)
    if (const Object* object = load(id); object != nullptr && object->type_ == type)
      ids.push_back(id);
  return ids;
}

bool ObjectTable::empty() {
  const schedule::ReadLock lock(xa_lock_);
  for (const Slot& slot : slots_)
    if (slot.state != SlotState::kFree) return false;
  return true;
}

bool ObjectTable::release_leaves(bool& any) {
  bool progress = false;
  any = false;
  for (ObjectId id = 1;; ++id) {
    Object* object = nullptr;
    {
      const schedule::WriteLock lock(xa_lock_);
      if (id >= slots_.size()) return progress;
      object = load(id);
      if (object == nullptr) continue;
      any = true;
      if (!object->users_.decrement_if_one()) continue;
      store(id, {SlotState::kFree, nullptr});
    }
    progress = true;
    object->destroy();
    delete object;
  }
}

void ObjectTable::release_all() {
  for (bool any = true; any;) {
    if (release_leaves(any) || !any) continue;
    trace_.fact(object::Lane::kIommufd, object::Fact::kRefLeaked,
                "iommufd objects use each other when the file closes", {.a = 1});
    return;
  }
}

}  // namespace teeio::iommufd
