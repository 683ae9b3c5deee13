#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "hw/cpu.h"

namespace teeio::guest {

/// What the present instruction has done on the bus.
///
/// An instruction that is stopped after an access with side effects (a read of a register
/// that clears it, an emulated store) is run again from its start; the log answers the
/// repeats, so that each access happens once.
/// Locking: the engine's.
class BusLog {
 public:
  explicit BusLog(hw::GuestMemory& memory) : memory_(memory) {}

  /// Another instruction is next: none of what was done is for it to repeat.
  void forget() { done_.clear(); }
  [[nodiscard]] bool empty() const { return done_.empty(); }
  /// The instruction starts, perhaps again.
  void start() { next_ = 0; }

  struct Access {
    Gpa page;
    std::uint64_t offset;
    std::uint64_t size;
    bool write;
    std::uint64_t value;  ///< of a store
  };
  /// Makes the access, or finds it done. A load's bytes are at `seen` then. Gives the exit
  /// when it cannot be made now: an emulated one counts as done, answer() has its value.
  std::optional<hw::CpuExit> make(const Access& access, std::byte* seen);
  /// What the load reads that the last exit asked for. Nothing for a store.
  void answer(std::uint64_t value);

 private:
  struct Done {
    Gpa gpa;
    bool write;
    std::uint8_t size;
    std::uint64_t value;
  };
  hw::GuestMemory& memory_;
  std::vector<Done> done_;
  std::size_t next_ = 0;
};

}  // namespace teeio::guest
