#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "device/nvme/state.h"

namespace teeio::nvme {

/// An NVMe controller: registers, doorbells, and the queues behind them. docs/nvme.md is its
/// data sheet. Source: NVMe 1.4, 3.1 and 4.1; what a driver does with it: Linux
/// drivers/nvme/host/pci.c, nvme_pci_configure_admin_queue() and nvme_setup_io_queues().
///
/// A doorbell write carries out every command up to it before it returns, as far as the
/// completion queue has room; the rest waits for that queue's doorbell. So a run is the same
/// each time. A queue that the memory refuses stops the controller: CSTS.CFS, until it is
/// reset.
///
/// Locking: the card's lock, held across transfers and the file's.
class Controller {
 public:
  static constexpr std::uint64_t kRegisterBytes = 16 * 1024;

  Controller(HostAccess& host, const ControllerIdentity& identity, std::vector<NameSpace> spaces)
      : state_(host, identity, std::move(spaces)) {}

  /// Registers take naturally aligned accesses of 4 or 8 bytes; others read as ones and write
  /// nothing.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  void write(std::uint64_t offset, ByteView in);
  /// All as at power-on, but what is in the namespaces.
  void reset();

  [[nodiscard]] const State& state() const { return state_; }

 private:
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset) const;
  void write_register(std::uint64_t offset, std::uint32_t value);
  void configure(std::uint32_t value);
  void enable();
  /// What a controller level reset does: queues, features and events as at power-on.
  void disable();
  void shut_down();
  [[nodiscard]] std::uint32_t shutdown_status() const;  ///< CSTS.SHST, in place
  /// A doorbell write that makes no sense: an event, and an entry of the error log.
  void doorbell_error(std::uint8_t info, Status status);
  void fail() { fatal_ = true; }

  void ring(std::uint64_t offset, std::uint32_t value);
  void ring_sq(std::uint16_t id, std::uint32_t tail);
  void ring_cq(std::uint16_t id, std::uint32_t head);
  [[nodiscard]] bool works() const { return ready_ && !fatal_ && !shut_down_; }

  /// Carries out what waits in a submission queue.
  void run(std::uint16_t sq);
  void run_one(std::uint16_t sq, const Command& command);
  void complete(Completion completion);
  /// Events that are due, as far as the admin queue has room.
  void tell_events();
  void notify(CompletionQueue& queue);

  State state_;
  std::uint32_t configuration_ = 0;  ///< CC
  std::uint32_t admin_sizes_ = 0;    ///< AQA
  std::uint64_t admin_sq_ = 0;
  std::uint64_t admin_cq_ = 0;
  bool ready_ = false;
  bool fatal_ = false;
  bool shut_down_ = false;  ///< and all that was written is on its disk, unless fatal_
};

}  // namespace teeio::nvme
