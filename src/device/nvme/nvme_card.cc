#include "device/nvme/nvme_card.h"

#include <memory>
#include <utility>

#include "base/check.h"
#include "device/nvme/nvme_function.h"

namespace teeio::nvme {
namespace {

constexpr std::uint8_t kRevision = 1;
constexpr std::uint32_t kClassNvm = 0x010802;  // mass storage, non-volatile memory, NVMe

/// BARs of one kind lie together, the PF's first: what SR-IOV's VF BARs need.
NvmeFunction::Addresses addresses_of(const NvmeCard::Options& options, unsigned index) {
  const Hpa msix = options.window + (options.vfs + 1) * Controller::kRegisterBytes;
  return {.registers = options.window + index * Controller::kRegisterBytes,
          .msix = msix + index * NvmeFunction::kMsixBytes};
}

hw::Identity identity(std::uint16_t device) {
  return {.vendor = NvmeCard::kVendorId,
          .device = device,
          .class_code = kClassNvm,
          .revision = kRevision,
          .subsystem_vendor = NvmeCard::kVendorId,
          .subsystem = device};
}

device::DsmSpdm spdm_of(const NvmeCard::Options& options) {
  device::DsmSpdm spdm = options.spdm;
  spdm.seed = options.serial;
  spdm.model = "nvme";
  spdm.hardware = Writer()
                      .le(NvmeCard::kVendorId)
                      .le(NvmeCard::kPfDeviceId)
                      .le(kRevision)
                      .le(options.serial)
                      .le(static_cast<std::uint16_t>(options.vfs))
                      .le(static_cast<std::uint8_t>(options.ide_streams))
                      .take();
  return spdm;
}

}  // namespace

std::uint64_t NvmeCard::window_bytes(unsigned vfs) {
  return aligned_window((vfs + 1U) * (Controller::kRegisterBytes + NvmeFunction::kMsixBytes));
}

std::optional<std::uint64_t> NvmeCard::bar_bytes(std::uint8_t bar) {
  return bar == NvmeFunction::kRegisterBar ? std::optional(Controller::kRegisterBytes)
                                           : std::nullopt;
}

NvmeCard::NvmeCard(object::Trace& trace, const Options& options,
                   std::vector<std::vector<NameSpace>> spaces) {
  TEEIO_CHECK(options.vfs <= kMaxVfs && vf_bdf(options.pf, options.vfs).bus == options.pf.bus,
              "the card has too many VFs for its bus");
  TEEIO_CHECK(raw(options.window) % kWindowAlignment == 0, "the card's window is misaligned");
  spaces.resize(options.vfs + 1U);
  device::SriovCapability::Options sriov{
      .vfs = static_cast<std::uint16_t>(options.vfs), .vf_device_id = kVfDeviceId, .vf_bars = {}};
  if (options.vfs > 0) sriov.vf_bars = NvmeFunction::make_bars(addresses_of(options, 1));
  for (unsigned i = 0; i <= options.vfs; ++i) {
    const bool is_pf = i == 0;
    auto function = std::make_unique<NvmeFunction>(
        trace, lock(),
        NvmeFunction::Place{.bdf = is_pf ? options.pf : vf_bdf(options.pf, i - 1),
                            .identity = identity(is_pf ? kPfDeviceId : kVfDeviceId),
                            .addresses = addresses_of(options, i),
                            .pf = is_pf ? nullptr : &pf(),
                            .bars_move = is_pf && options.bars_move,
                            .rom = options.rom,
                            .rom_bytes = is_pf ? options.rom_bytes : 0,
                            .report = report_of(options.reports, i)},
        ControllerIdentity{kVendorId, options.serial, static_cast<std::uint16_t>(i)},
        std::move(spaces[i]));
    if (is_pf)
      function->make_physical({.sriov = sriov,
                               .ide_streams = options.ide_streams,
                               .ide = options.ide,
                               .serial = options.serial,
                               .spdm = spdm_of(options),
                               .doe_vector = kDoeVector});
    add(std::move(function));
  }
}

}  // namespace teeio::nvme
