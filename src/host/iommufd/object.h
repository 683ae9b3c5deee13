#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"
#include "object/trace.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/quarantine.h"

namespace teeio::iommufd {

using ObjectId = std::uint32_t;

enum class ObjectType : std::uint8_t {
  kAny,
  kDevice,
  kHwptPaging,
  kHwptNested,
  kIoas,
  kAccess,
  kFault,
  kViommu,
  kVdevice,
  kVeventq,
  kHwQueue,
  kSelftest,  ///< IOMMUFD_OBJ_SELFTEST: another room's
};

/// What a program names by an id (Linux: struct iommufd_object).
///
/// Lifetime: made and reserved, finalized when nothing can fail any more, freed
/// by ObjectTable when the table has the last of `users`. `wait_cnt` counts
/// those whose end a destroyer waits for: calls in progress, and a vDEVICE's
/// hold on its idevice. Explored runs keep freed objects in quarantine, so that
/// a late use is a finding.
class Object : public schedule::Quarantined {
 public:
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  [[nodiscard]] ObjectId id() const { return id_; }
  [[nodiscard]] ObjectType type() const { return type_; }
  /// Unique among all objects of a machine's run; what facts carry.
  [[nodiscard]] std::uint64_t serial() const { return serial_; }

  /// refcount_inc(&obj->users). Precondition: the caller holds one.
  void add_user() { users_.increment(); }
  /// refcount_dec(&obj->users). Precondition: somebody else holds one still.
  void drop_user();

 protected:
  explicit Object(ObjectType type) : type_(type) {}
  virtual ~Object() = default;
  /// iommufd_object_ops::pre_destroy: makes the holders of wait_cnt let go.
  virtual void pre_destroy() {}
  /// Gives back what the object holds; its memory goes next.
  virtual void destroy() = 0;
  /// destroy() of an object that was never finalized, under its maker's locks.
  virtual void abort() { destroy(); }

 private:
  friend class ObjectTable;
  const ObjectType type_;
  ObjectId id_ = 0;
  std::uint64_t serial_ = 0;
  schedule::RefCount users_{1};
  schedule::RefCount wait_cnt_{1};
};

/// The ids of one open /dev/iommu (Linux: iommufd_ctx::objects, an xarray with
/// XA_FLAGS_ALLOC1: the lowest free id from 1).
/// Source: Linux drivers/iommu/iommufd/main.c; each method names its function.
///
/// Locking: xa_lock (rank kIommufdXarray) over ids, read by who looks one up and counts itself;
/// destroy_wait has its own leaf. No method may be called with the xa_lock held.
class ObjectTable {
 public:
  /// A destroyer waits so long for short users, then it is a bug.
  static constexpr std::uint64_t kDestroyWaitNs = 60'000'000'000;

  ObjectTable(object::Trace& trace, std::uint64_t first_serial)
      : trace_(trace), next_serial_(first_serial) {}

  /// _iommufd_object_alloc(): an id that nobody can see yet. Until finalize()
  /// the caller owns the object and must end it with an abort.
  /// Errors: ENOSPC when 2^31 ids are in use; the object is freed.
  Result<void> reserve(Object& object) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_object_finalize(): the id works from here on.
  void finalize(Object& object) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_object_abort_and_destroy(): undoes reserve() after Object::abort().
  void abort_and_destroy(Object& object) TEEIO_EXCLUDES(xa_lock_);

  /// iommufd_get_object(): the object, locked against destruction until put().
  /// Errors: ENOENT for an id that is free, reserved, a tombstone, or of another
  /// type.
  Result<Object*> get(ObjectId id, ObjectType type) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_lock_obj(), for an object that is known to exist: false if it is
  /// being destroyed.
  [[nodiscard]] bool lock_object(Object& object);
  /// iommufd_put_object().
  void put(Object& object);
  /// iommufd_try_inc_users(). Errors: EBUSY when a destroyer has its id already.
  Result<void> try_inc_users(Object& object) TEEIO_EXCLUDES(xa_lock_);

  /// IOMMU_DESTROY. Errors: ENOENT no such id; EBUSY others use it.
  Result<void> destroy(ObjectId id) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_object_destroy_user(): the caller's own user and the object go.
  void destroy_user(Object& object) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_object_tombstone_user(): likewise, and the id is never used again.
  void tombstone_user(Object& object) TEEIO_EXCLUDES(xa_lock_);
  /// iommufd_object_put_and_try_destroy(): gives the caller's user back, and
  /// destroys an automatic HWPT that nobody uses any more.
  void put_and_try_destroy(Object& object) TEEIO_EXCLUDES(xa_lock_);

  /// iommufd_fops_release(): everything, leaves first. Nobody else has the
  /// table any more.
  void release_all() TEEIO_EXCLUDES(xa_lock_);
  /// ictx->vfio_ioas, the IOAS that VFIO's type 1 calls mean. Forgotten when the
  /// object goes; keeps nothing alive. Precondition: the caller has `ioas` from
  /// get(), or null.
  void set_compat_ioas(Object* ioas) TEEIO_EXCLUDES(xa_lock_);
  /// The same, unless one is set that is not being destroyed: then false.
  [[nodiscard]] bool try_set_compat_ioas(Object& ioas) TEEIO_EXCLUDES(xa_lock_);
  /// get_compat_ioas(): locked against destruction until put(). Errors: ENODEV.
  Result<Object*> compat_ioas() TEEIO_EXCLUDES(xa_lock_);
  /// The ids of all live objects of a type, ascending.
  [[nodiscard]] std::vector<ObjectId> ids_of(ObjectType type) TEEIO_EXCLUDES(xa_lock_);

  /// xa_empty(&ictx->objects): tombstones and reservations count.
  [[nodiscard]] bool empty() TEEIO_EXCLUDES(xa_lock_);

 private:
  enum class Wait : std::uint8_t { kNo, kYes };
  enum class Leave : std::uint8_t { kNothing, kTombstone };
  /// kReserved is Linux's XA_ZERO_ENTRY: a reservation or a tombstone.
  enum class SlotState : std::uint8_t { kFree, kReserved, kLive };
  struct Slot {
    SlotState state = SlotState::kFree;
    Object* object = nullptr;
  };

  Result<void> take_id(Object& object) TEEIO_EXCLUDES(xa_lock_);
  Result<void> remove(Object* to_destroy, ObjectId id, Wait wait, Leave leave)
      TEEIO_EXCLUDES(xa_lock_);
  Result<void> dec_wait(Object& object);
  [[nodiscard]] Object* load(ObjectId id) TEEIO_REQUIRES_SHARED(xa_lock_);
  void store(ObjectId id, Slot slot) TEEIO_REQUIRES(xa_lock_);
  bool release_leaves(bool& any) TEEIO_EXCLUDES(xa_lock_);

  object::Trace& trace_;
  schedule::RwMutex xa_lock_{schedule::Rank::kIommufdXarray};
  std::vector<Slot> slots_ TEEIO_GUARDED_BY(xa_lock_);  ///< index 0 is unused
  ObjectId lowest_free_ TEEIO_GUARDED_BY(xa_lock_) = 1;
  std::uint64_t next_serial_ TEEIO_GUARDED_BY(xa_lock_);
  Object* compat_ioas_ TEEIO_GUARDED_BY(xa_lock_) = nullptr;
  schedule::Mutex wait_lock_{schedule::Rank::kWaitQueue};
  schedule::Condition destroy_wait_;
};

/// An object locked for the length of a call.
template <class T>
class Using {
 public:
  Using(ObjectTable& table, T& object) : table_(&table), object_(&object) {}
  Using(Using&& other) noexcept
      : table_(other.table_), object_(std::exchange(other.object_, nullptr)) {}
  Using& operator=(Using&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(object_, other.object_);
    return *this;
  }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;
  ~Using() {
    if (object_ != nullptr) table_->put(*object_);
  }
  [[nodiscard]] T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  /// Leaves the lock in place after this scope; put() is somebody else's.
  T& keep() { return *std::exchange(object_, nullptr); }

 private:
  ObjectTable* table_;
  T* object_;
};

/// get() of an object of class T (T::kType). Errors: ENOENT.
template <class T>
Result<Using<T>> find(ObjectTable& table, ObjectId id) {
  TEEIO_ASSIGN(Object * object, table.get(id, T::kType));
  return Using<T>(table, static_cast<T&>(*object));
}

/// An object between reserve() and finalize(): aborted unless committed.
template <class T>
class NewObject {
 public:
  /// Takes over a newly made `object` and reserves its id. Errors: as ObjectTable::reserve().
  static Result<NewObject> reserve(ObjectTable& table, T* object) {
    TEEIO_TRY(table.reserve(*object));
    return NewObject(table, object);
  }
  NewObject(NewObject&& other) noexcept
      : table_(other.table_), object_(std::exchange(other.object_, nullptr)) {}
  NewObject(const NewObject&) = delete;
  NewObject& operator=(const NewObject&) = delete;
  NewObject& operator=(NewObject&&) = delete;
  ~NewObject() {
    if (object_ != nullptr) table_.abort_and_destroy(*object_);
  }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  /// The object is not aborted any more, whoever may see it.
  T& leave() { return *std::exchange(object_, nullptr); }
  /// Publishes the id; nothing may fail afterwards.
  T& commit() {
    T& object = leave();
    table_.finalize(object);
    return object;
  }

 private:
  NewObject(ObjectTable& table, T* object) : table_(table), object_(object) {}
  ObjectTable& table_;
  T* object_;
};

}  // namespace teeio::iommufd
