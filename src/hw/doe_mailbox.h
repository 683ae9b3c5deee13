#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "hw/config_space.h"

namespace teeio::hw {

/// What answers behind a DOE mailbox.
/// Locking: called with the mailbox owner's lock held.
class DoeHandler {
 public:
  virtual ~DoeHandler() = default;
  /// One data object, header included; a whole number of 4-byte words. Gives
  /// the answer in the same form; empty: the object is dropped without one, as
  /// for a type that is not supported.
  virtual Bytes handle(ByteView object) = 0;
  /// The mailbox wants an interrupt (enabled, and an answer or error came).
  virtual void mailbox_interrupt() {}
};

/// A Data Object Exchange capability. The owner passes it every access to its
/// registers, after ConfigSpace for writes.
/// Source: PCIe Base Spec 6.30, 7.9.24; as Linux drivers/pci/doe.c uses it.
///
/// Lifetime: within the function that owns `config`. Locking: the owner's.
class DoeMailbox {
 public:
  /// Longest object: 2^18 words.
  static constexpr std::size_t kMaxWords = std::size_t{1} << 18U;

  /// `interrupt_vector`: what the capability announces; none if not given.
  DoeMailbox(ConfigSpace& config, DoeHandler& handler,
             std::optional<std::uint16_t> interrupt_vector = std::nullopt);

  [[nodiscard]] std::uint16_t offset() const { return offset_; }
  [[nodiscard]] bool contains(std::uint16_t offset) const;

  /// Precondition: contains(offset).
  [[nodiscard]] std::uint32_t read(std::uint16_t offset, unsigned size_bytes) const;
  /// The mailbox and control registers take 4-byte writes only; narrower ones
  /// are ignored (the spec leaves them undefined). GO hands the object over and
  /// its answer is ready when the write is over. Error, until an abort: the
  /// object's length is not what was written, it is too long, or GO came before
  /// the last answer was read. Precondition: contains(offset).
  void write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);

  /// The device hangs: from the next GO on it stays busy until an abort.
  void hang_next() { hang_next_ = true; }
  void reset();

 private:
  void control_written(std::uint32_t value);
  void abort();
  void go();
  void set_error();
  void request_interrupt();

  ConfigSpace& config_;
  DoeHandler& handler_;
  const std::uint16_t offset_;
  const bool can_interrupt_;
  Bytes request_;
  Bytes answer_;
  std::size_t answer_at_ = 0;
  bool overflow_ = false;
  bool busy_ = false;
  bool error_ = false;
  bool interrupt_enabled_ = false;
  bool interrupt_status_ = false;
  bool hang_next_ = false;
};

}  // namespace teeio::hw
