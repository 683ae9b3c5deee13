#include "explore/spike/toy_iommufd.h"

#include "base/check.h"

namespace teeio::toy {
namespace {

using schedule::Lock;

constexpr std::uint64_t kDestroyTimeoutNs = 60'000'000'000;

}  // namespace

Table::~Table() {
  // iommufd_fops_release(): by now the tests have destroyed every object.
  const Lock lock(xa_lock_);
  for (const Entry& entry : entries_) TEEIO_CHECK(entry.object == nullptr, "an object is leaked");
}

void Table::add(Object& object) {
  const Lock lock(xa_lock_);
  TEEIO_CHECK(next_ < entries_.size(), "the toy table is full");
  object.id = next_++;
  entries_[object.id] = {&object, true};
}

Object* Table::get(std::size_t id) {
  const Lock lock(xa_lock_);
  Object* object = entries_[id].object;
  if (object == nullptr || !object->users.increment_not_zero()) return nullptr;
  if (object->wait_cnt.increment_not_zero()) return object;
  TEEIO_CHECK(!object->users.decrement(), "the table's own user was dropped");
  return nullptr;
}

void Table::put(Object& object) {
  // Users first, so that a destroyer that saw wait_cnt at zero sees no user.
  TEEIO_CHECK(!object.users.decrement(), "the table's own user was dropped");
  if (!object.wait_cnt.decrement()) return;
  const Lock lock(wait_lock_);
  destroy_wait_.notify_all();
}

bool Table::try_inc_users(Object& object) {
  const Lock lock(xa_lock_);
  if (entries_[object.id].object != &object) return false;
  object.users.increment();
  return true;
}

bool Table::is_tombstone(std::size_t id) {
  const Lock lock(xa_lock_);
  return entries_[id].reserved && entries_[id].object == nullptr;
}

void Table::wait_until_unused(Object& object) {
  if (object.wait_cnt.decrement()) return;
  object.pre_destroy(*this);
  const Lock lock(wait_lock_);
  while (object.wait_cnt.load() != 0)
    TEEIO_CHECK(destroy_wait_.wait_for(wait_lock_, kDestroyTimeoutNs),
                "time out waiting for an object to become free");
}

void Table::release(Object& object) {
  object.destroy(*this);
  delete &object;
}

Result<void> Table::destroy(std::size_t id) {
  Object* object = nullptr;
  {
    const Lock lock(xa_lock_);
    object = entries_[id].object;
    if (object == nullptr) return fail(Errno::kNoEnt, "no object has this id");
    if (!object->users.decrement_if_one()) return fail(Errno::kBusy, "the object has users");
    entries_[id] = {};
  }
  wait_until_unused(*object);
  release(*object);
  return {};
}

void Table::destroy_user(Object& object, Leave leave) {
  wait_until_unused(object);
  {
    const Lock lock(xa_lock_);
    TEEIO_CHECK(!object.users.decrement(), "the table's own user was dropped");
    TEEIO_CHECK(entries_[object.id].object == &object, "an object with a user left the table");
    TEEIO_CHECK(object.users.decrement_if_one(), "an object to be destroyed has other users");
    entries_[object.id] = {nullptr, leave == Leave::kTombstone};
  }
  release(object);
}

Idevice& Idevice::bind(Table& table) {
  auto& idevice = *new Idevice;
  idevice.users.increment();  // before others can see it
  table.add(idevice);
  return idevice;
}

void Idevice::pre_destroy(Table& table) {
  if (table.fix() == Fix::kMerged) remove_vdevice(table);
}

void Idevice::destroy(Table& table) {
  if (table.fix() == Fix::kVersion3) remove_vdevice(table);
}

void Idevice::remove_vdevice(Table& table) {
  Vdevice* vdevice = nullptr;
  {
    const Lock lock(igroup_lock_);
    destroying_ = true;
    // Gone already, or out of the table and on its way: then IOMMU_DESTROY
    // finishes it, and only a wait_cnt makes us wait for that.
    if (vdevice_ == nullptr || !table.try_inc_users(*vdevice_)) return;
    vdevice = vdevice_;
  }
  table.destroy_user(*vdevice, Table::Leave::kTombstone);
}

Result<Vdevice*> Vdevice::alloc(Table& table, std::size_t idevice_id) {
  auto* idevice = static_cast<Idevice*>(table.get(idevice_id));
  if (idevice == nullptr) return fail(Errno::kNoEnt, "no device has this id");
  Result<Vdevice*> result = fail(Errno::kNoEnt, "the device is being destroyed");
  {
    const Lock lock(idevice->igroup_lock_);
    if (idevice->vdevice_ != nullptr) {
      result = fail(Errno::kExist, "the device has a vdevice");
    } else if (!idevice->destroying_) {
      auto* vdevice = new Vdevice;
      vdevice->idevice_ = idevice;
      idevice->vdevice_ = vdevice;
      table.add(*vdevice);
      result = vdevice;
    }
  }
  // On success the merged version keeps users and wait_cnt until destroy().
  if (!result || table.fix() == Fix::kVersion3) table.put(*idevice);
  return result;
}

// With kVersion3 `idevice_` may be a destroyed object in quarantine, which is
// the point; UBSan would stop at its vptr before the lock is looked at.
__attribute__((no_sanitize("vptr"))) void Vdevice::destroy(Table& table) {
  {
    const Lock lock(idevice_->igroup_lock_);
    idevice_->vdevice_ = nullptr;
  }
  if (table.fix() == Fix::kMerged) table.put(*idevice_);
}

}  // namespace teeio::toy
