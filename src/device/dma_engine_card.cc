#include "device/dma_engine_card.h"

#include <bit>

#include "base/check.h"
#include "device/dma_physical_function.h"

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

Bdf vf_bdf(Bdf pf, unsigned index) {
  return Bdf::from_rid(static_cast<std::uint16_t>(pf.rid() + 1U + index), pf.domain);
}

}  // namespace

std::uint64_t DmaEngineCard::window_bytes(unsigned vfs, std::uint64_t memory_bytes) {
  const std::uint64_t used =
      (vfs + 1U) * (memory_bytes + DmaEngine::kRegisterBytes + DmaFunction::kMsixBytes);
  return (used + kWindowAlignment - 1) / kWindowAlignment * kWindowAlignment;
}

DmaEngineCard::DmaEngineCard(object::Trace& trace, const Options& options) {
  TEEIO_CHECK(options.vfs <= kMaxVfs && vf_bdf(options.pf, options.vfs).bus == options.pf.bus,
              "the card has too many VFs for its bus");
  TEEIO_CHECK(raw(options.window) % kWindowAlignment == 0, "the card's window is misaligned");
  TEEIO_CHECK(std::has_single_bit(options.memory_bytes) && options.memory_bytes >= kLeastMemory &&
                  options.memory_bytes <= kWindowAlignment,
              "the card's memory has no size that a BAR can have");
  SriovCapability::Options sriov{
      .vfs = static_cast<std::uint16_t>(options.vfs), .vf_device_id = kVfDeviceId, .vf_bars = {}};
  if (options.vfs > 0) sriov.vf_bars = DmaFunction::make_bars(addresses_of(options, 1));
  pf_ = std::make_unique<DmaPhysicalFunction>(
      trace, lock_,
      DmaFunction::Role{.bdf = options.pf,
                        .identity = identity(kPfDeviceId),
                        .addresses = addresses_of(options, 0),
                        .bars_move = options.bars_move},
      DmaPhysicalFunction::Capabilities{sriov, options.ide_streams, options.serial,
                                        spdm_of(options)});
  for (unsigned i = 0; i < options.vfs; ++i) {
    vfs_.push_back(std::make_unique<DmaFunction>(
        trace, lock_,
        DmaFunction::Role{vf_bdf(options.pf, i), identity(kVfDeviceId),
                          addresses_of(options, i + 1), pf_.get()}));
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

std::optional<Bytes> DmaEngineCard::answer_message(wire::Protocol protocol, ByteView message,
                                                   std::uint32_t session) {
  const schedule::WriteLock lock(lock_);
  return pf_->dsm().answer_message(protocol, message, session);
}

void DmaEngineCard::session_ended(std::uint32_t session) {
  const schedule::WriteLock lock(lock_);
  pf_->dsm().session_ended(session);
}

Attester& DmaEngineCard::attester() { return pf_->dsm().attester(); }
void DmaEngineCard::speak_by(DoeSpeaker& speaker) { pf_->dsm().speak_by(speaker); }
DsmMessages& DmaEngineCard::messages() { return pf_->dsm(); }

}  // namespace teeio::device
