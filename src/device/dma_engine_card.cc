#include "device/dma_engine_card.h"

#include "base/check.h"
#include "device/dma_physical_function.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kClassAccelerator = 0x120000;  // processing accelerator

/// BARs of one kind lie together, the PF's first: what SR-IOV's VF BARs need.
DmaFunction::Addresses addresses_of(Hpa window, unsigned functions, unsigned index) {
  const Hpa registers = window + functions * DmaFunction::kMemoryBytes;
  const Hpa msix = registers + functions * DmaEngine::kRegisterBytes;
  return {.registers = registers + index * DmaEngine::kRegisterBytes,
          .memory = window + index * DmaFunction::kMemoryBytes,
          .msix = msix + index * DmaFunction::kMsixBytes};
}

hw::Identity identity(std::uint16_t device) {
  return {.vendor = DmaEngineCard::kVendorId,
          .device = device,
          .class_code = kClassAccelerator,
          .revision = 1,
          .subsystem_vendor = DmaEngineCard::kVendorId,
          .subsystem = device};
}

Bdf vf_bdf(Bdf pf, unsigned index) {
  return Bdf::from_rid(static_cast<std::uint16_t>(pf.rid() + 1U + index), pf.domain);
}

}  // namespace

std::uint64_t DmaEngineCard::window_bytes(unsigned vfs) {
  const std::uint64_t used = (vfs + 1U) * (DmaFunction::kMemoryBytes + DmaEngine::kRegisterBytes +
                                           DmaFunction::kMsixBytes);
  return (used + kWindowAlignment - 1) / kWindowAlignment * kWindowAlignment;
}

DmaEngineCard::DmaEngineCard(object::Trace& trace, const Options& options) {
  const unsigned count = options.vfs + 1;
  TEEIO_CHECK(options.vfs <= kMaxVfs && vf_bdf(options.pf, options.vfs).bus == options.pf.bus,
              "the card has too many VFs for its bus");
  TEEIO_CHECK(raw(options.window) % kWindowAlignment == 0, "the card's window is misaligned");
  SriovCapability::Options sriov{
      .vfs = static_cast<std::uint16_t>(options.vfs), .vf_device_id = kVfDeviceId, .vf_bars = {}};
  if (options.vfs > 0)
    sriov.vf_bars = DmaFunction::make_bars(addresses_of(options.window, count, 1));
  pf_ = std::make_unique<DmaPhysicalFunction>(
      trace, lock_,
      DmaFunction::Role{options.pf, identity(kPfDeviceId), addresses_of(options.window, count, 0)},
      DmaPhysicalFunction::Capabilities{sriov, options.ide_streams, options.serial});
  for (unsigned i = 0; i < options.vfs; ++i) {
    vfs_.push_back(std::make_unique<DmaFunction>(
        trace, lock_,
        DmaFunction::Role{vf_bdf(options.pf, i), identity(kVfDeviceId),
                          addresses_of(options.window, count, i + 1), pf_.get()}));
    pf_->add_vf(*vfs_.back());
    vfs_.back()->refresh_enabled();
  }
}

DmaEngineCard::~DmaEngineCard() = default;

std::vector<hw::PciFunction*> DmaEngineCard::functions() const {
  std::vector<hw::PciFunction*> all{pf_.get()};
  for (const auto& vf : vfs_) all.push_back(vf.get());
  return all;
}

const Tdi& DmaEngineCard::tdi(std::size_t index) const {
  return index == 0 ? pf_->tdi() : vfs_.at(index - 1)->tdi();
}

}  // namespace teeio::device
