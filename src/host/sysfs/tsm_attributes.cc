#include "host/sysfs/tsm_attributes.h"

#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

/// Whether the function's DSM, itself for a PF0, takes part in TDISP.
bool dsm_has_tee(tsm::PciTsm& tsm, const Topology& topology, const Host::Function& function) {
  if (tsm.is_pf0(function.pci->bdf())) return tsm::has_tee(*function.pci);
  const auto dsm = Bdf::parse(tsm.dsm_of(function.pci->bdf()));
  const Host::Function* other = dsm ? topology.find(*dsm) : nullptr;
  return other != nullptr && tsm::has_tee(*other->pci);
}

void add_connection(NodeList& list, const Environment& environment, const std::string& directory,
                    Bdf bdf) {
  list.text(
      directory + "/connect", 0644,
      [&environment, bdf]() -> Result<std::string> {
        return environment.host.tsm().connected_to(bdf) + "\n";
      },
      [&environment, bdf](std::string_view text) -> Result<void> {
        const auto connected = environment.host.tsm().connect(bdf, text);
        environment.refresh();
        return connected;
      });
  list.text(directory + "/disconnect", 0200, {},
            [&environment, bdf](std::string_view text) -> Result<void> {
              const auto disconnected = environment.host.tsm().disconnect(bdf, text);
              environment.refresh();
              return disconnected;
            });
}

}  // namespace

void add_tsm(NodeList& list, const Environment& environment, const Topology& topology,
             const Host::Function& function, const std::string& directory) {
  tsm::PciTsm& tsm = environment.host.tsm();
  const Bdf bdf = function.pci->bdf();
  if (tsm.tsms().empty() || !hw::find_capability(*function.pci, hw::kCapabilityPcie)) return;
  const bool pf0 = tsm.is_pf0(bdf);
  if (!pf0 && !tsm.is_managed(bdf)) return;

  list.text(directory + "/authenticated", 0444, [&environment, bdf]() -> Result<std::string> {
    return environment.host.tsm().connected_to(bdf) + "\n";
  });
  const std::string group = directory + "/tsm";
  list.directory(group);
  if (pf0) add_connection(list, environment, group, bdf);
  const bool tee = dsm_has_tee(tsm, topology, function);
  if (pf0 || tee)
    list.text(group + "/dsm", 0444, [&environment, bdf]() -> Result<std::string> {
      return environment.host.tsm().dsm_of(bdf) + "\n";
    });
  if (tee)
    list.text(group + "/bound", 0444, [&environment, bdf]() -> Result<std::string> {
      return environment.host.tsm().bound_to(bdf) + "\n";
    });
}

}  // namespace teeio::sysfs
