#include "device/nvme/nvme_function.h"

#include <utility>

namespace teeio::nvme {

std::array<hw::Bar, hw::kBarCount> NvmeFunction::make_bars(const Addresses& addresses) {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(kRegisterBar) = make_bar(addresses.registers, Controller::kRegisterBytes);
  bars.at(kMsixBar) = make_bar(addresses.msix, kMsixBytes);
  return bars;
}

NvmeFunction::NvmeFunction(object::Trace& trace, schedule::Monitor& card_lock, const Place& place,
                           const ControllerIdentity& identity, std::vector<NameSpace> spaces)
    : TeeFunction(trace, card_lock,
                  {.bdf = place.bdf,
                   .identity = place.identity,
                   .bars = make_bars(place.addresses),
                   .vectors = kVectors,
                   .rom = place.rom,
                   .rom_bytes = place.rom_bytes,
                   .rom_text = "teeio nvme",
                   .pf = place.pf,
                   .bars_move = place.bars_move,
                   .report = place.report}),
      controller_(*this, identity, std::move(spaces)) {}

void NvmeFunction::register_read(std::uint64_t offset, std::span<std::byte> out) {
  controller_.read(offset, out);
}

void NvmeFunction::register_write(std::uint64_t offset, ByteView in) {
  controller_.write(offset, in);
}

/// What a TVM wrote to a namespace is storage, and stays.
void NvmeFunction::scrub() { controller_.reset(); }

hw::TBit NvmeFunction::traffic() const {
  return tdi().view().state == device::TdiState::kRun ? hw::TBit::kTrusted : hw::TBit::kShared;
}

Result<void> NvmeFunction::read(std::uint64_t address, std::span<std::byte> out) {
  return issue_read(traffic(), Iova{address}, out);
}

Result<void> NvmeFunction::write(std::uint64_t address, ByteView in) {
  return issue_write(traffic(), Iova{address}, in);
}

}  // namespace teeio::nvme
