#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/quarantine.h"

/// Three objects that live and die as iommufd's do, and nothing else: enough to
/// show what schedule/ can find. Counts, locks and their order are those of
/// Linux drivers/iommu/iommufd/main.c, device.c and viommu.c.
namespace teeio::toy {

class Table;

/// Which locking of the vdevice's end is compiled in.
enum class Fix : std::uint8_t {
  kMerged,   ///< 6.17: the vdevice keeps a wait_cnt on its idevice; pre_destroy() waits for it
  kVersion3  ///< as posted third: it keeps none, so IOMMU_DESTROY may meet a freed idevice
};

/// Linux: struct iommufd_object. `users` counts pointers to it, the table's
/// included; `wait_cnt` those whose end destruction waits for.
class Object : public schedule::Quarantined {
 public:
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  schedule::RefCount users{1};
  schedule::RefCount wait_cnt{1};
  std::size_t id = 0;

 protected:
  friend class Table;
  Object() = default;
  virtual void pre_destroy(Table&) {}
  virtual void destroy(Table&) = 0;
};

/// Linux: struct iommufd_ctx, its xarray of objects and destroy_wait.
class Table {
 public:
  enum class Leave : std::uint8_t { kNothing, kTombstone };

  explicit Table(Fix fix) : fix_(fix) {}
  ~Table();

  void add(Object& object);
  /// iommufd_get_object(): null when the id is free, reserved or dying.
  Object* get(std::size_t id);
  /// iommufd_put_object().
  void put(Object& object);
  /// IOMMU_DESTROY. Errors: ENOENT, EBUSY.
  Result<void> destroy(std::size_t id);
  /// iommufd_object_destroy_user(), iommufd_object_tombstone_user(): the caller
  /// holds a user of `object`.
  void destroy_user(Object& object, Leave leave);
  /// iommufd_try_inc_users(): false when the object has left the table.
  bool try_inc_users(Object& object);

  [[nodiscard]] Fix fix() const { return fix_; }
  [[nodiscard]] bool is_tombstone(std::size_t id);

 private:
  struct Entry {
    Object* object = nullptr;
    bool reserved = false;  // XA_ZERO_ENTRY
  };
  void wait_until_unused(Object& object);
  void release(Object& object);

  const Fix fix_;
  schedule::Mutex xa_lock_{schedule::Rank::kIommufdXarray};
  std::array<Entry, 4> entries_ TEEIO_GUARDED_BY(xa_lock_);
  std::size_t next_ TEEIO_GUARDED_BY(xa_lock_) = 1;
  schedule::Mutex wait_lock_{schedule::Rank::kWaitQueue};
  schedule::Condition destroy_wait_;
};

class Vdevice;

/// Linux: struct iommufd_device, with its group's lock in it.
class Idevice final : public Object {
 public:
  /// iommufd_device_bind(): the caller gets a user, to be given to unbind().
  static Idevice& bind(Table& table);
  /// iommufd_device_unbind().
  void unbind(Table& table) { table.destroy_user(*this, Table::Leave::kNothing); }

 private:
  friend class Vdevice;
  void pre_destroy(Table& table) override;
  void destroy(Table& table) override;
  void remove_vdevice(Table& table);

  schedule::Mutex igroup_lock_{schedule::Rank::kIommufdGroup};
  bool destroying_ TEEIO_GUARDED_BY(igroup_lock_) = false;
  Vdevice* vdevice_ TEEIO_GUARDED_BY(igroup_lock_) = nullptr;
};

/// Linux: struct iommufd_vdevice.
class Vdevice final : public Object {
 public:
  /// iommufd_vdevice_alloc_ioctl(). Errors: ENOENT, EEXIST.
  static Result<Vdevice*> alloc(Table& table, std::size_t idevice_id);

 private:
  void destroy(Table& table) override;

  Idevice* idevice_ = nullptr;
};

}  // namespace teeio::toy
