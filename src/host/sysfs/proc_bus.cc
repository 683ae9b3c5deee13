#include "host/sysfs/proc_bus.h"

#include <fmt/format.h>

#include <set>

#include "host/sysfs/config_attribute.h"
#include "host/sysfs/pci_identity.h"

namespace teeio::sysfs {
namespace {

constexpr std::string_view kProc = "/proc/bus/pci";

/// pci_proc_domain(): buses of other domains than the first are called by both.
std::string bus_name(Bdf bdf) {
  return bdf.domain == 0 ? fmt::format("{:02x}", bdf.bus)
                         : fmt::format("{:04x}:{:02x}", bdf.domain, bdf.bus);
}

/// The low bits of a BAR's register (Linux: PCI_REGION_FLAG_MASK).
std::uint64_t region_flags(const hw::Bar& bar) {
  if (bar.kind == hw::Bar::Kind::kIo) return 1;
  return (bar.kind == hw::Bar::Kind::kMemory64 ? 4U : 0U) | (bar.prefetchable ? 8U : 0U);
}

/// show_device(): six BARs and the expansion ROM, first where they are, then how large.
std::string device_line(const Host::Function& function) {
  hw::PciFunction& pci = *function.pci;
  const PciIdentity id = pci_identity(pci);
  const Bdf bdf = pci.bdf();
  std::string text = fmt::format("{:02x}{:02x}\t{:04x}{:04x}\t{:x}", bdf.bus,
                                 bdf.device << 3U | bdf.function, id.vendor, id.device, 0);
  for (const hw::Bar& bar : pci.bars())
    text += fmt::format("\t{:16x}",
                        bar.kind == hw::Bar::Kind::kNone ? 0 : raw(bar.base) | region_flags(bar));
  const hw::Bar* const rom = pci.rom();
  text += fmt::format("\t{:16x}", rom == nullptr ? 0 : raw(rom->base));
  for (const hw::Bar& bar : pci.bars())
    text += fmt::format("\t{:16x}", bar.kind == hw::Bar::Kind::kNone ? 0 : bar.size);
  return text + fmt::format("\t{:16x}\t{}\n", rom == nullptr ? 0 : rom->size, function.driver);
}

}  // namespace

void add_proc_bus(NodeList& list, const Environment& environment, const Topology& topology) {
  const std::string root(kProc);
  list.directory(root);
  list.text(root + "/devices", 0444, [&host = environment.host]() -> Result<std::string> {
    std::string text;
    for (const Host::Function& function : host.functions()) text += device_line(function);
    return text;
  });
  std::set<std::string> buses;
  for (const Host::Function& function : topology.functions()) {
    const Bdf bdf = function.pci->bdf();
    const std::string bus = root + "/" + bus_name(bdf);
    if (buses.insert(bus).second) list.directory(bus);
    add_config(list, environment, fmt::format("{}/{:02x}.{:x}", bus, bdf.device, bdf.function),
               *function.pci);
  }
}

}  // namespace teeio::sysfs
