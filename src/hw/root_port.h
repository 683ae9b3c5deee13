#pragma once

#include <optional>
#include <type_traits>

#include "hw/capabilities.h"
#include "hw/ide_port.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/monitor.h"

namespace teeio::hw {

/// A root port: a bridge with a PCI Express, power management and IDE capability.
/// A machine's firmware drives its streams through the functions below; kernels
/// that own them (SEV-TIO, CCA) through the registers, with the same effect.
///
/// Lifetime: owned by the machine; outlives the functions below it.
/// Locking: own leaf lock (rank kLeaf), since a function's DMA asks it with that
/// function's lock held.
class RootPort final : public PciFunction {
 public:
  struct Options {
    Bdf bdf;
    BridgeHeader header;
    std::size_t ide_streams = 0;  ///< 0: no IDE capability
    bool tee_io = false;
  };
  RootPort(object::Trace& trace, const Options& options);

  [[nodiscard]] Bdf bdf() const override { return bdf_; }
  [[nodiscard]] std::uint8_t secondary_bus() const { return secondary_; }
  [[nodiscard]] std::uint8_t subordinate_bus() const { return subordinate_; }
  /// That its Link Capabilities show: device and function, so that no two of a bus share one.
  [[nodiscard]] std::uint8_t port_number() const {
    return static_cast<std::uint8_t>(bdf_.rid() & 0xffU);
  }
  /// Of its prefetchable memory, as at boot.
  [[nodiscard]] const BridgeRange& window() const { return window_; }

  std::uint32_t config_read(std::uint16_t offset, unsigned size_bytes) override
      TEEIO_EXCLUDES(mutex_);
  void config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override
      TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] const std::array<Bar, kBarCount>& bars() const override { return bars_; }
  /// Streams, keys and control registers of the capabilities are as at boot;
  /// bus numbers and windows stay.
  void reset(ResetKind kind) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] PciFunction* physical_function() override { return nullptr; }
  void attach(DmaPort&) override {}

  // Streams: see IdePort, with its errors. A port without IDE has no blocks:
  // EINVAL everywhere.
  [[nodiscard]] std::size_t streams() const TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::size_t free_streams() const TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] IdeStreamState stream_state(std::size_t block) const TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<std::size_t> find_stream(std::uint8_t stream_id) const
      TEEIO_EXCLUDES(mutex_);
  Result<void> configure_stream(std::size_t block, const IdeAssociation& association)
      TEEIO_EXCLUDES(mutex_);
  /// Also traced as Fact::kKeyUsed: the root port's end speaks for the link.
  Result<void> program_key(std::size_t block, IdeKeySlot slot, ByteView key) TEEIO_EXCLUDES(mutex_);
  Result<void> key_go(std::size_t block, IdeKeySlot slot) TEEIO_EXCLUDES(mutex_);
  Result<void> key_stop(std::size_t block, IdeKeySlot slot) TEEIO_EXCLUDES(mutex_);
  Result<void> enable_stream(std::size_t block) TEEIO_EXCLUDES(mutex_);
  Result<void> block_stream(std::size_t block) TEEIO_EXCLUDES(mutex_);
  Result<void> release_stream(std::size_t block) TEEIO_EXCLUDES(mutex_);

  /// Whether T=1 requests of `rid` pass, i.e. an enabled stream has it. Gives a
  /// number that grows with every change of a stream.
  /// Errors: EIO, with the reason, when none does.
  Result<std::uint64_t> admit_trusted(std::uint16_t rid) const TEEIO_EXCLUDES(mutex_);
  /// Whether a CPU's trusted access to `address` passes, i.e. an enabled stream has it.
  [[nodiscard]] bool admits_access(Hpa address) const TEEIO_EXCLUDES(mutex_);

 private:
  template <class Step>
  std::invoke_result_t<Step, IdePort&> with_ide(Step step) TEEIO_EXCLUDES(mutex_);

  object::Trace& trace_;
  const Bdf bdf_;
  const std::uint8_t secondary_;
  const std::uint8_t subordinate_;
  const BridgeRange window_;
  const std::array<Bar, kBarCount> bars_{};

  mutable schedule::Monitor mutex_{schedule::Rank::kLeaf};
  ConfigSpace config_ TEEIO_GUARDED_BY(mutex_);
  std::optional<IdePort> ide_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::hw
