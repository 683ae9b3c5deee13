#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "firmware/sev/platform.h"
#include "firmware/sev/rmp.h"
#include "hw/root_port.h"
#include "object/trace.h"
#include "spdm/channel_setup.h"

namespace teeio::secure_processor {

/// SEV-SNP's and SEV-TIO's firmware with memory of its own, whose pages are the host's or the
/// firmware's by its reverse map table.
///
/// Lifetime: the trace outlives it. Locking: one task; the firmware has its own lock beside.
class Processor {
 public:
  /// Of the memory: context pages, buffers and command buffers of a few cards.
  static constexpr std::uint64_t kMemoryBytes = 4U << 20U;

  /// `ports` stand for the root ports of a machine that have no IDE.
  Processor(object::Trace& trace, std::vector<std::unique_ptr<hw::RootPort>> ports,
            spdm::ChannelSetup channels);
  ~Processor();

  /// The address of the memory's first byte, in commands.
  [[nodiscard]] Hpa memory_base() const;
  /// Platform::command(), and a guest whose context page comes to be has a number in traces.
  sev::Status command(std::uint16_t number, Hpa buffer);
  /// The instruction RMPUPDATE.
  sev::RmpStatus rmp_update(Hpa page, const sev::RmpUpdate& wanted);

  /// The host's CPUs. A page that is another key's reads as ones, where hardware gives cipher
  /// text; a write that the RMP forbids is refused in the trace and vanishes, where hardware
  /// has a page fault. Precondition: inside of the memory.
  void read(std::uint64_t offset, std::span<std::byte> out);
  void write(std::uint64_t offset, ByteView in);

  /// nullptr: no port has that number (Link Capabilities).
  [[nodiscard]] hw::RootPort* port(std::uint32_t number) const;
  /// Power-on: firmware, memory and ports.
  void reset();

 private:
  struct Chip;
  void write_piece(std::uint64_t offset, ByteView in);

  object::Trace& trace_;
  const std::vector<std::unique_ptr<hw::RootPort>> ports_;
  const spdm::ChannelSetup channels_;
  std::unique_ptr<Chip> chip_;
  std::uint32_t guests_ = 0;         ///< that ever were, since power-on
  std::uint64_t told_ = UINT64_MAX;  ///< the page whose refused write was told last
};

}  // namespace teeio::secure_processor
