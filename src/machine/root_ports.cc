#include "machine/root_ports.h"

#include "device/dma_engine_card.h"

namespace teeio::machine {

namespace {

hw::BridgeRange range(Hpa base, std::uint64_t bytes) {
  return bytes == 0 ? hw::BridgeRange{}
                    : hw::BridgeRange{.base = raw(base), .last = raw(base) + bytes - 1};
}

}  // namespace

std::unique_ptr<hw::RootPort> make_root_port(object::Trace& trace, const RootPortConfig& port) {
  // The vendor and device of no real product, as the cards'.
  const hw::Identity identity{.vendor = device::DmaEngineCard::kVendorId,
                              .device = 0x0f00,
                              .class_code = 0x060400,
                              .subsystem_vendor = device::DmaEngineCard::kVendorId,
                              .subsystem = 0x0f00};
  const hw::RootPort::Options options{
      .bdf = port.bdf,
      .header = {.identity = identity,
                 .primary = port.bdf.bus,
                 .secondary = port.bus,
                 .subordinate = port.bus,
                 .memory = range(port.memory_window, port.memory_window_bytes),
                 .io = range(port.io_window, port.io_window_bytes),
                 .prefetchable = {.base = raw(port.window),
                                  .last = raw(port.window) + port.window_bytes - 1}},
      .ide_streams = port.ide_streams,
      .tee_io = port.tee_io};
  return std::make_unique<hw::RootPort>(trace, options);
}

}  // namespace teeio::machine
