#include "device/dma_function.h"

namespace teeio::device {

std::array<hw::Bar, hw::kBarCount> DmaFunction::make_bars(const Addresses& addresses) {
  std::array<hw::Bar, hw::kBarCount> bars;
  bars.at(kRegisterBar) = make_bar(addresses.registers, DmaEngine::kRegisterBytes);
  bars.at(kMemoryBar) = make_bar(addresses.memory, addresses.memory_bytes, true);
  bars.at(kMsixBar) = make_bar(addresses.msix, kMsixBytes);
  return bars;
}

DmaFunction::DmaFunction(object::Trace& trace, schedule::Monitor& card_lock, const Place& place)
    : TeeFunction(trace, card_lock,
                  {.bdf = place.bdf,
                   .identity = place.identity,
                   .bars = make_bars(place.addresses),
                   .vectors = kVectors,
                   .msi_vectors = place.msi_vectors,
                   .intx = place.intx,
                   .rom = place.rom,
                   .rom_bytes = place.rom_bytes,
                   .rom_text = "teeio dma-engine",
                   .pf = place.pf,
                   .bars_move = place.bars_move,
                   .report = place.report,
                   .pasid_bits = place.pasid_bits}),
      memory_(place.addresses.memory_bytes),
      engine_(*this, memory_),
      shared_memory_(memory_, enabled(), TdiBar{tdi(), layout(), kMemoryBar}, hw::TBit::kShared),
      trusted_memory_(memory_, enabled(), TdiBar{tdi(), layout(), kMemoryBar}, hw::TBit::kTrusted) {
  answer_bar(kMemoryBar, shared_memory_, &memory_);
}

hw::MmioTarget* DmaFunction::private_bar(std::size_t number) {
  return number == kMemoryBar ? &trusted_memory_ : TeeFunction::private_bar(number);
}

void DmaFunction::register_read(std::uint64_t offset, std::span<std::byte> out) {
  engine_.read(offset, out);
}

void DmaFunction::register_write(std::uint64_t offset, ByteView in) { engine_.write(offset, in); }

void DmaFunction::scrub() {
  engine_.reset();
  memory_.zero();
}

}  // namespace teeio::device
