#include "device/dma_engine_card.h"

#include <bit>
#include <memory>
#include <utility>

#include "base/check.h"
#include "device/dma_function.h"

namespace teeio::device {
namespace {

constexpr std::uint8_t kRevision = 1;
/// So that the BARs that lie behind it are aligned to their own sizes.
constexpr std::uint64_t kLeastMemory = DmaEngine::kRegisterBytes;
constexpr std::uint32_t kClassAccelerator = 0x120000;  // processing accelerator

/// BARs of one kind lie together, the PF's first: what SR-IOV's VF BARs need.
DmaFunction::Addresses addresses_of(const DmaEngineCard::Options& options, unsigned index) {
  const unsigned functions = options.vfs + 1;
  const Hpa registers = options.window + functions * options.memory_bytes;
  const Hpa msix = registers + functions * DmaEngine::kRegisterBytes;
  return {.registers = registers + index * DmaEngine::kRegisterBytes,
          .memory = options.window + index * options.memory_bytes,
          .msix = msix + index * DmaFunction::kMsixBytes,
          .memory_bytes = options.memory_bytes};
}

hw::Identity identity(std::uint16_t device) {
  return {.vendor = DmaEngineCard::kVendorId,
          .device = device,
          .class_code = kClassAccelerator,
          .revision = kRevision,
          .subsystem_vendor = DmaEngineCard::kVendorId,
          .subsystem = device};
}

DsmSpdm spdm_of(const DmaEngineCard::Options& options) {
  DsmSpdm spdm = options.spdm;
  spdm.seed = options.serial;
  spdm.model = "dma-engine";
  spdm.hardware = Writer()
                      .le(DmaEngineCard::kVendorId)
                      .le(DmaEngineCard::kPfDeviceId)
                      .le(kRevision)
                      .le(options.serial)
                      .le(static_cast<std::uint16_t>(options.vfs))
                      .le(static_cast<std::uint8_t>(options.ide_streams))
                      .take();
  return spdm;
}

}  // namespace

std::uint64_t DmaEngineCard::window_bytes(unsigned vfs, std::uint64_t memory_bytes) {
  return aligned_window((vfs + 1U) *
                        (memory_bytes + DmaEngine::kRegisterBytes + DmaFunction::kMsixBytes));
}

std::optional<std::uint64_t> DmaEngineCard::bar_bytes(std::uint8_t bar,
                                                      std::uint64_t memory_bytes) {
  if (bar == DmaFunction::kRegisterBar) return DmaEngine::kRegisterBytes;
  if (bar == DmaFunction::kMemoryBar) return memory_bytes;
  return std::nullopt;
}

DmaEngineCard::DmaEngineCard(object::Trace& trace, const Options& options) {
  TEEIO_CHECK(options.vfs <= kMaxVfs && options.pf.rid() + options.vfs <= 0xffffU,
              "the card has more VFs than routing IDs");
  TEEIO_CHECK(raw(options.window) % kWindowAlignment == 0, "the card's window is misaligned");
  TEEIO_CHECK(std::has_single_bit(options.memory_bytes) && options.memory_bytes >= kLeastMemory &&
                  options.memory_bytes <= kWindowAlignment,
              "the card's memory has no size that a BAR can have");
  SriovCapability::Options sriov{
      .vfs = static_cast<std::uint16_t>(options.vfs), .vf_device_id = kVfDeviceId, .vf_bars = {}};
  if (options.vfs > 0) sriov.vf_bars = DmaFunction::make_bars(addresses_of(options, 1));
  auto first =
      std::make_unique<DmaFunction>(trace, lock(),
                                    DmaFunction::Place{.bdf = options.pf,
                                                       .identity = identity(kPfDeviceId),
                                                       .addresses = addresses_of(options, 0),
                                                       .msi_vectors = options.msi_vectors,
                                                       .intx = options.intx,
                                                       .rom = options.rom,
                                                       .rom_bytes = options.rom_bytes,
                                                       .bars_move = options.bars_move,
                                                       .report = report_of(options.reports, 0),
                                                       .pasid_bits = options.pasid_bits});
  first->make_physical({.sriov = sriov,
                        .ide_streams = options.ide_streams,
                        .ide = options.ide,
                        .serial = options.serial,
                        .spdm = spdm_of(options),
                        .doe_vector = DmaFunction::kDoeVector});
  add(std::move(first));
  for (unsigned i = 0; i < options.vfs; ++i)
    add(std::make_unique<DmaFunction>(
        trace, lock(),
        DmaFunction::Place{.bdf = vf_bdf(options.pf, i),
                           .identity = identity(kVfDeviceId),
                           .addresses = addresses_of(options, i + 1),
                           .pf = &pf(),
                           .msi_vectors = options.msi_vectors,
                           .report = report_of(options.reports, i + 1)}));
}

}  // namespace teeio::device
