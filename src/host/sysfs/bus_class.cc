#include "host/sysfs/bus_class.h"

#include <fmt/format.h>

#include <set>

#include "host/sysfs/char_devices.h"
#include "host/sysfs/cpu_text.h"
#include "host/sysfs/pci_bus.h"

namespace teeio::sysfs {
namespace {

constexpr std::string_view kClass = "/sys/class/pci_bus";

/// Bus `number` of `domain`, behind what lies at `bridge`.
void add_bus(NodeList& list, const Environment& environment, const std::string& bridge,
             std::uint16_t domain, std::uint8_t number) {
  const std::string name = fmt::format("{:04x}:{:02x}", domain, number);
  const std::string directory = fmt::format("{}/pci_bus/{}", bridge, name);
  list.directory(bridge + "/pci_bus");
  list.directory(directory);
  list.link(directory + "/device", bridge);
  list.link(directory + "/subsystem", kClass);
  list.link(fmt::format("{}/{}", kClass, name), directory);
  const unsigned cpus = environment.host.cpus();
  list.text(directory + "/cpuaffinity", 0444,
            [cpus]() -> Result<std::string> { return cpu_mask(cpus) + "\n"; });
  list.text(directory + "/cpulistaffinity", 0444,
            [cpus]() -> Result<std::string> { return cpu_list(cpus) + "\n"; });
  list.text(directory + "/rescan", 0200, {},
            [&environment, domain, number](std::string_view text) {  // bus_rescan_store()
              return store_rescan(environment, text, Bdf{.domain = domain, .bus = number});
            });
  list.text(directory + "/uevent", 0644, []() -> Result<std::string> { return ""; }, store_uevent);
}

}  // namespace

void add_bus_class(NodeList& list, const Environment& environment, const Topology& topology) {
  list.directory(std::string(kClass));
  std::set<std::uint16_t> domains;
  for (const Host::Function& function : topology.functions()) {
    const Bdf bdf = function.pci->bdf();
    if (domains.insert(bdf.domain).second)
      add_bus(list, environment, Topology::host_bridge(bdf.domain), bdf.domain, 0);
    if (const std::uint8_t behind = topology.bus_behind(bdf); behind != 0)
      add_bus(list, environment, topology.directory(bdf), bdf.domain, behind);
  }
}

}  // namespace teeio::sysfs
