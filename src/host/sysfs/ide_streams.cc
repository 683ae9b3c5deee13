#include "host/sysfs/ide_streams.h"

#include <fmt/format.h>

#include <set>

#include "hw/find_capability.h"
#include "schedule/seeded_bug.h"

namespace teeio::sysfs {
namespace {

// PCIe Base Spec 7.9.26; as Linux include/uapi/linux/pci_regs.h, PCI_IDE_*.
constexpr std::uint32_t kCapLink = 1U << 0U, kCapSelective = 1U << 1U;
constexpr std::uint32_t kControlEnable = 1U << 0U;

/// One selective stream's register block of an end point.
struct Block {
  unsigned number;
  std::uint8_t stream_id;
};

std::vector<Block> enabled_blocks(hw::PciFunction& function) {
  std::vector<Block> result;
  const auto at = hw::find_extended_capability(function, hw::kExtendedIde);
  if (!at) return result;
  const auto get = [&](unsigned offset) {
    return function.config_read(static_cast<std::uint16_t>(*at + offset), 4);
  };
  const std::uint32_t capability = get(4);
  if ((capability & kCapSelective) == 0) return result;
  unsigned offset = 0x0c + ((capability & kCapLink) != 0 ? ((capability >> 13U & 7U) + 1) * 8 : 0);
  const unsigned blocks = (capability >> 16U & 0xffU) + 1;
  for (unsigned i = 0; i < blocks && *at + offset + 0x14U <= hw::ConfigSpace::kSize; ++i) {
    const unsigned associations = get(offset) & 0xfU;
    const std::uint32_t control = get(offset + 4);
    if ((control & kControlEnable) != 0)
      result.push_back({i, static_cast<std::uint8_t>(control >> 24U)});
    offset += 0x14 + 0x0c * associations;
  }
  return result;
}

}  // namespace

std::vector<IdeStreams::Stream> IdeStreams::enabled(Host& host, const Topology& topology) {
  std::vector<Stream> result;
  for (const Host::Function& function : topology.functions()) {
    if (hw::is_bridge(*function.pci)) continue;
    const Bdf bdf = function.pci->bdf();
    const Host::Function* above = topology.bridge_above(bdf);
    if (above == nullptr) continue;
    for (hw::RootPort* port : host.root_ports()) {
      if (port->bdf() != above->pci->bdf()) continue;
      for (const Block& block : enabled_blocks(*function.pci))
        if (const auto port_block = port->find_stream(block.stream_id))
          result.push_back({port->bdf(), *port_block, bdf, block.number});
    }
  }
  return result;
}

std::map<IdeStreams::Stream, unsigned> IdeStreams::number(const std::vector<Stream>& streams) {
  const schedule::Lock lock(mutex_);
  const bool per_port = schedule::seeded(schedule::SeededBug::kDuplicateStreamLinks);
  std::map<Stream, unsigned> next;
  std::set<unsigned> used;
  for (const Stream& stream : streams)
    if (const auto was = numbers_.find(stream); was != numbers_.end()) {
      next.insert(*was);
      used.insert(was->second);
    }
  for (const Stream& stream : streams) {
    if (next.contains(stream)) continue;
    unsigned number = 0;
    while (used.contains(number) && !per_port) ++number;
    used.insert(number);
    next.emplace(stream, number);
  }
  numbers_ = next;
  return next;
}

void IdeStreams::add(NodeList& list, const Environment& environment, const Topology& topology) {
  const auto ports = environment.host.root_ports();
  std::size_t total = 0;
  for (const hw::RootPort* port : ports) total += port->streams();
  if (total == 0) return;
  const std::string bridge = Topology::host_bridge(ports.front()->bdf().domain);
  list.text(bridge + "/available_secure_streams", 0444,
            [&host = environment.host]() -> Result<std::string> {
              std::size_t free = 0;
              for (const hw::RootPort* port : host.root_ports()) free += port->free_streams();
              return fmt::format("{}\n", free);
            });
  for (const auto& [stream, number] : number(enabled(environment.host, topology)))
    list.link(
        fmt::format("{}/stream{}.{}.{}", bridge, number, stream.port_block, stream.endpoint_block),
        topology.directory(stream.endpoint));
}

}  // namespace teeio::sysfs
