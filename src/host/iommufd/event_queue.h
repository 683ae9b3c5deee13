#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "host/iommufd/object.h"
#include "host/mm/readiness.h"
#include "object/file.h"

namespace teeio::iommufd {

class Context;

/// A queue that programs read through a descriptor of its own (Linux: struct
/// iommufd_eventq).
///
/// Lifetime: its file is a user of it, so that IOMMU_DESTROY is EBUSY while it is open.
class EventQueue : public Object {
 public:
  /// Whole records, as many as there are and fit. 0 bytes: there are none.
  virtual Result<std::size_t> read(std::span<std::byte> out) = 0;
  virtual Result<std::size_t> write(ByteView in) = 0;
  /// Undoes a read() whose bytes could not be copied to the program, as far as nothing has
  /// happened to its records since (Linux: iommufd_fault_deliver_restore() and likewise).
  virtual void put_back(ByteView records) = 0;
  /// Bytes that a read's or a write's size must be a multiple of; 1: any size.
  [[nodiscard]] virtual std::size_t record_bytes() const = 0;

  /// Who is told whether there is something to read; null for nobody.
  void set_readiness(mm::Readiness* readiness) TEEIO_EXCLUDES(lock_);

 protected:
  explicit EventQueue(ObjectType type) : Object(type) {}
  ~EventQueue() override = default;
  /// After each change of what read() would find.
  void tell_readiness(bool readable) TEEIO_REQUIRES(lock_);

  schedule::Mutex lock_{schedule::Rank::kWaitQueue};

 private:
  mm::Readiness* readiness_ TEEIO_GUARDED_BY(lock_) = nullptr;
  bool readable_ TEEIO_GUARDED_BY(lock_) = false;
};

/// The descriptor of a queue (Linux: iommufd_fault_fops, iommufd_veventq_fops).
///
/// Lifetime: an open file. Holds the context's file.
class EventQueueFile final : public object::File {
 public:
  /// iommufd_eventq_init(). `queue` is not published yet. Errors: ENOMEM.
  static Result<object::Ref<EventQueueFile>> create(Context& context, EventQueue& queue);

  /// ESPIPE a bad size; EINVAL a first record that does not fit. Both: file positions stay 0.
  Result<std::size_t> read(std::span<std::byte> out) { return queue_.read(out); }
  Result<std::size_t> write(ByteView in) { return queue_.write(in); }
  void put_back(ByteView records) { queue_.put_back(records); }
  [[nodiscard]] std::size_t record_bytes() const { return queue_.record_bytes(); }
  /// f_op->poll; once, before a program has the descriptor.
  void set_readiness(std::unique_ptr<mm::Readiness> readiness);
  /// The file leaves its queue early: it could not be given to the program.
  void disown();

 private:
  EventQueueFile(Context& context, EventQueue& queue);
  ~EventQueueFile() override = default;
  /// iommufd_eventq_fops_release().
  void release() override { disown(); }

  object::Ref<object::File> context_;
  EventQueue& queue_;  ///< used until context_ is given up
  std::unique_ptr<mm::Readiness> readiness_;
};

}  // namespace teeio::iommufd
