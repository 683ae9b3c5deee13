#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "device/nvme/command.h"

namespace teeio::nvme {

/// What a controller says without being asked. Source: NVMe 1.4, 5.2, figures 145–148.
struct Event {
  enum class Type : std::uint8_t { kError = 0, kHealth = 1 };
  Type type = Type::kError;
  std::uint8_t info = 0;
  std::uint8_t log_page = 0;

  static constexpr std::uint8_t kInvalidDoorbell = 0;       ///< of kError: no such queue
  static constexpr std::uint8_t kInvalidDoorbellValue = 1;  ///< of kError
  static constexpr std::uint8_t kReliability = 0;           ///< of kHealth
  static constexpr std::uint8_t kTemperature = 1;           ///< of kHealth: out of a threshold
};

/// Asynchronous Event Requests that wait, and events that wait for one. An event's type is
/// silent after one was told, until its log page is read.
///
/// Locking: the card's lock.
class Events {
 public:
  /// Errors: kEventLimitExceeded.
  Outcome<void> request(std::uint16_t command_id);
  [[nodiscard]] bool waits(std::uint16_t command_id) const;
  /// The request ends with kAbortRequested, and then `abort`, the command that asked for it;
  /// false: there is no such request, and `abort` is the caller's.
  bool abort(std::uint16_t command_id, std::uint16_t abort);
  void raise(const Event& event);
  /// Its log page was read without Retain Asynchronous Event.
  void log_was_read(std::uint8_t log_page);
  /// The next completion that is due, without its queue's fields.
  [[nodiscard]] std::optional<Completion> next();

 private:
  std::vector<std::uint16_t> requests_;  ///< command identifiers
  std::deque<Completion> owed_;          ///< of aborts, in order
  std::deque<Event> pending_;
  std::array<bool, 2> silent_{};  ///< by type
};

/// The Error Information log: the last commands that failed. Source: 5.14.1.1.
class ErrorLog {
 public:
  /// Of no command: its identifiers say so, `status` is the one that comes nearest.
  void add(Status status);
  /// `lba`: of an I/O command, else 0.
  void add(const Completion& completion, std::uint32_t nsid, std::uint64_t lba);
  /// kErrorEntries entries, the latest first.
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  struct Entry {
    std::uint64_t number;
    Completion completion;
    std::uint32_t nsid;
    std::uint64_t lba;
  };
  std::deque<Entry> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace teeio::nvme
