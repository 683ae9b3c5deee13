#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "device/nvme/command.h"
#include "device/nvme/host_access.h"

namespace teeio::nvme {

/// Source: NVMe 1.4, 4.1. Entries lie in the host's memory, one after the other.
struct SubmissionQueue {
  std::uint64_t base = 0;
  std::uint32_t entries = 0;
  std::uint32_t head = 0;  ///< the next command
  std::uint32_t tail = 0;  ///< the doorbell
  std::uint16_t cq = 0;

  [[nodiscard]] bool empty() const { return head == tail; }
  /// Commands that lie in one piece from the head on.
  [[nodiscard]] std::uint32_t in_a_row() const { return (tail < head ? entries : tail) - head; }
};

struct CompletionQueue {
  std::uint64_t base = 0;
  std::uint32_t entries = 0;
  std::uint32_t head = 0;  ///< the doorbell
  std::uint32_t tail = 0;  ///< the next entry to be written
  bool phase = true;       ///< of the entries that are being written
  bool interrupts = false;
  std::uint16_t vector = 0;
  bool news = false;  ///< entries came since the last interrupt

  [[nodiscard]] bool full() const { return (tail + 1) % entries == head; }
  /// Entries that the host has not taken yet.
  [[nodiscard]] std::uint32_t used() const { return (tail + entries - head) % entries; }
  [[nodiscard]] std::uint32_t room() const { return entries - 1 - used(); }
  /// Precondition: not full. Errors: the memory's.
  Result<void> post(HostAccess& host, const Completion& completion);
};

/// A controller's queues by identifier; 0 are the admin ones.
struct Queues {
  std::array<std::optional<SubmissionQueue>, kIoQueues + 1> sq;
  std::array<std::optional<CompletionQueue>, kIoQueues + 1> cq;

  [[nodiscard]] bool any_io() const;
  /// Whether a submission queue other than the admin one posts there.
  [[nodiscard]] bool in_use(std::uint16_t cq_id) const;
  void forget() { *this = {}; }
};

}  // namespace teeio::nvme
