#pragma once

#include <cstdint>
#include <deque>

#include "host/iommufd/event_queue.h"

namespace teeio::iommufd {

class Viommu;

/// What happens behind a vIOMMU, for its VMM (Linux: struct iommufd_veventq,
/// drivers/iommu/iommufd/eventq.c).
///
/// Lifetime: a user of its vIOMMU, in whose list it is.
class Veventq final : public EventQueue {
 public:
  static constexpr ObjectType kType = ObjectType::kVeventq;
  static constexpr std::uint32_t kMaxDepth = 1U << 19U;  ///< VEVENTQ_MAX_DEPTH

  Veventq(Viommu& viommu, std::uint32_t type, std::uint32_t depth);

  [[nodiscard]] std::uint32_t event_type() const { return type_; }
  /// Its vIOMMU knows it, until destroy().
  void linked() { linked_ = true; }
  /// iommufd_vevent_handler(): an event, or that one was lost, in the place of the newest.
  void report(ByteView event) TEEIO_EXCLUDES(lock_);

  /// iommufd_veventq_fops_read(): events with their headers. Errors: EINVAL no room for a
  /// header, or for the first event.
  Result<std::size_t> read(std::span<std::byte> out) override TEEIO_EXCLUDES(lock_);
  void put_back(ByteView records) override TEEIO_EXCLUDES(lock_);
  /// Errors: EINVAL always: there is nothing to answer.
  Result<std::size_t> write(ByteView in) override;
  [[nodiscard]] std::size_t record_bytes() const override { return 1; }

 private:
  struct Event {
    std::uint32_t sequence;
    Bytes data;  ///< empty: events were lost
  };
  ~Veventq() override = default;
  /// iommufd_veventq_destroy(), _abort().
  void destroy() override;

  Viommu& viommu_;
  const std::uint32_t type_;
  const std::uint32_t depth_;
  bool linked_ = false;  ///< constant once it is published
  std::deque<Event> deliver_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t events_ TEEIO_GUARDED_BY(lock_) = 0;  ///< without a lost one
  std::uint32_t sequence_ TEEIO_GUARDED_BY(lock_) = 0;
  std::size_t event_bytes_ TEEIO_GUARDED_BY(lock_) = 0;  ///< of each: the type's
};

}  // namespace teeio::iommufd
