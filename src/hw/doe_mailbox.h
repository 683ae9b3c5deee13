#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "hw/config_space.h"
#include "schedule/monitor.h"

namespace teeio::hw {

/// What answers behind a DOE mailbox.
/// Locking: called with the locks of whoever wrote to the control register, and no other.
class DoeHandler {
 public:
  virtual ~DoeHandler() = default;
  /// One data object, header included; a whole number of 4-byte words. Gives
  /// the answer in the same form; empty: the object is dropped without one, as
  /// for a type that is not supported.
  virtual Bytes handle(ByteView object) = 0;
  /// Whether the answer that handle() just gave takes longer than anybody waits for one.
  virtual bool is_late() { return false; }
  /// The mailbox wants an interrupt (enabled, and an answer or error came).
  virtual void mailbox_interrupt() {}
};

/// A Data Object Exchange capability. The owner passes it every access to its
/// registers, after ConfigSpace for writes.
/// Source: PCIe Base Spec 6.30, 7.9.24; as Linux drivers/pci/doe.c uses it.
///
/// Lifetime: within the function that owns `config`.
/// Locking: a leaf lock for its registers, which is free while an object is handled: the
/// mailbox is busy then. The owner sees to it that only one task at a time is in reset()
/// or writes to the control register.
class DoeMailbox {
 public:
  /// Longest object: 2^18 words.
  static constexpr std::size_t kMaxWords = std::size_t{1} << 18U;

  /// `interrupt_vector`: what the capability announces; none if not given.
  DoeMailbox(ConfigSpace& config, DoeHandler& handler,
             std::optional<std::uint16_t> interrupt_vector = std::nullopt);

  [[nodiscard]] std::uint16_t offset() const { return offset_; }
  [[nodiscard]] bool contains(std::uint16_t offset) const;
  /// Whether it is the control register: GO and abort.
  [[nodiscard]] bool is_control(std::uint16_t offset) const;

  /// Precondition: contains(offset).
  [[nodiscard]] std::uint32_t read(std::uint16_t offset, unsigned size_bytes) const
      TEEIO_EXCLUDES(lock_);
  /// The mailbox and control registers take 4-byte writes only; narrower ones
  /// are ignored (the spec leaves them undefined). GO hands the object over and
  /// its answer is ready when the write is over. Error, until an abort: the
  /// object's length is not what was written, it is too long, or GO came before
  /// the last answer was read. Precondition: contains(offset).
  void write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) TEEIO_EXCLUDES(lock_);

  void reset() TEEIO_EXCLUDES(lock_);

  /// Looks at the status until a late answer comes: one and a half times as many as Linux
  /// takes (PCI_DOE_TIMEOUT). An abort does not make it come sooner; then it is thrown away.
  static constexpr unsigned kLateLooks = 192;

 private:
  void word_written(std::uint16_t at, std::uint32_t value) TEEIO_EXCLUDES(lock_);
  void control_written(std::uint32_t value) TEEIO_EXCLUDES(lock_);
  void abort() TEEIO_REQUIRES(lock_);
  /// The object that GO hands over; nullopt: there is none to handle.
  std::optional<Bytes> take_request() TEEIO_REQUIRES(lock_);
  /// Gives whether that is an interrupt.
  bool put_answer(Bytes answer) TEEIO_REQUIRES(lock_);
  bool wants_interrupt() TEEIO_REQUIRES(lock_);

  ConfigSpace& config_;
  DoeHandler& handler_;
  const std::uint16_t offset_;
  const bool can_interrupt_;
  mutable schedule::Monitor lock_{schedule::Rank::kLeaf};
  Bytes request_ TEEIO_GUARDED_BY(lock_);
  Bytes answer_ TEEIO_GUARDED_BY(lock_);
  std::size_t answer_at_ TEEIO_GUARDED_BY(lock_) = 0;
  bool overflow_ TEEIO_GUARDED_BY(lock_) = false;
  bool busy_ TEEIO_GUARDED_BY(lock_) = false;
  mutable unsigned late_ TEEIO_GUARDED_BY(lock_) = 0;  ///< looks that are left
  bool error_ TEEIO_GUARDED_BY(lock_) = false;
  bool interrupt_enabled_ TEEIO_GUARDED_BY(lock_) = false;
  bool interrupt_status_ TEEIO_GUARDED_BY(lock_) = false;
};

}  // namespace teeio::hw
