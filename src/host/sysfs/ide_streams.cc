#include "host/sysfs/ide_streams.h"

#include <fmt/format.h>

#include <set>

namespace teeio::sysfs {
namespace {

void add_available(NodeList& list, const Environment& environment, std::uint16_t domain) {
  if (!environment.host.tsm().streams().available(domain)) return;
  list.text(Topology::host_bridge(domain) + "/available_secure_streams", 0444,
            [&host = environment.host, domain]() -> Result<std::string> {
              const auto free = host.tsm().streams().available(domain);
              if (!free) return fail(Errno::kNxio, "the host bridge has no IDE streams");
              return fmt::format("{}\n", *free);
            });
}

}  // namespace

void add_ide_streams(NodeList& list, const Environment& environment, const Topology& topology) {
  std::set<std::uint16_t> domains;
  for (const Host::Function& function : topology.functions())
    if (const std::uint16_t domain = function.pci->bdf().domain; domains.insert(domain).second)
      add_available(list, environment, domain);
  tsm::PciTsm& tsm = environment.host.tsm();
  for (const tsm::IdeStreams::Link& link : tsm.streams().links()) {
    if (topology.find(link.endpoint) == nullptr) continue;
    const std::string card = topology.directory(link.endpoint);
    list.link(fmt::format("{}/{}", Topology::host_bridge(link.domain), link.name), card);
    if (!link.tsm) continue;
    const std::string platform = tsm.platform_device(*link.tsm);
    if (!platform.empty())
      list.link(fmt::format("/sys/devices/{}/tsm/tsm{}/{}", platform, *link.tsm, link.name), card);
  }
}

}  // namespace teeio::sysfs
