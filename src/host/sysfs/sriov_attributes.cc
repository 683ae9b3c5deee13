#include "host/sysfs/sriov_attributes.h"

#include <fmt/format.h>

#include "host/sysfs/pci_bus.h"
#include "host/sysfs/pci_identity.h"
#include "host/sysfs/text.h"

namespace teeio::sysfs {
namespace {

/// sriov_numvfs_store(). VFs that arrive are probed (pci_device_can_probe()); the number that
/// there is already makes none arrive.
Result<void> store_numvfs(const Environment& environment, hw::PciFunction& pci,
                          std::string_view text) {
  const auto number = parse_unsigned(text);
  if (!number || *number > 0xffff) return fail(Errno::kInval, "not a 16-bit number");
  const auto state = sriov(pci);
  if (!state || *number > state->total_vfs)
    return fail(Errno::kRange, "the function has fewer VFs");
  TEEIO_ASSIGN(const bool changed, environment.host.set_virtual_functions(
                                       pci.bdf(), static_cast<std::uint16_t>(*number),
                                       environment.settings.enable_sriov()));
  if (!changed) return {};
  environment.refresh();
  if (!environment.settings.autoprobe() || !environment.settings.of(pci.bdf()).vf_autoprobe)
    return {};
  for (const Host::Function& function : environment.host.functions())
    if (function.pci->physical_function() == &pci) probe_function(environment, function);
  environment.refresh();
  return {};
}

void add_vf(NodeList& list, const Topology& topology, hw::PciFunction& physical,
            const std::string& directory) {
  list.link(directory + "/physfn", topology.directory(physical.bdf()));
  list.text(directory + "/sriov_vf_msix_count", 0200, {},
            [](std::string_view text) -> Result<void> {
              const auto count = parse_int(text);
              if (!count || *count < 0) return fail(Errno::kInval, "not a number");
              return fail(Errno::kOpNotSupp, "the PF's driver shares out no MSI-X vectors");
            });
}

}  // namespace

void add_sriov(NodeList& list, const Environment& environment, const Topology& topology,
               const Host::Function& function, const std::string& directory) {
  hw::PciFunction& pci = *function.pci;
  if (hw::PciFunction* physical = pci.physical_function(); physical != nullptr)
    return add_vf(list, topology, *physical, directory);
  if (!sriov(pci)) return;

  const auto number = [&](std::string_view name, auto field) {
    list.text(fmt::format("{}/sriov_{}", directory, name), 0444,
              [&pci, field]() -> Result<std::string> {
                return fmt::format("{}\n", sriov(pci).value_or(Sriov{}).*field);
              });
  };
  number("totalvfs", &Sriov::total_vfs);
  number("offset", &Sriov::offset);
  number("stride", &Sriov::stride);
  list.text(directory + "/sriov_vf_device", 0444, [&pci]() -> Result<std::string> {
    return fmt::format("{:x}\n", sriov(pci).value_or(Sriov{}).vf_device);
  });
  list.text(directory + "/sriov_vf_total_msix", 0444,
            []() -> Result<std::string> { return "0\n"; });
  list.text(
      directory + "/sriov_numvfs", 0644,
      [&pci]() -> Result<std::string> {
        return fmt::format("{}\n", sriov(pci).value_or(Sriov{}).num_vfs);
      },
      [&environment, &pci](std::string_view text) { return store_numvfs(environment, pci, text); },
      [&environment, bdf = pci.bdf()] { return environment.host.has(bdf); });
  list.text(
      directory + "/sriov_drivers_autoprobe", 0644,
      [&environment, bdf = pci.bdf()]() -> Result<std::string> {
        return environment.settings.of(bdf).vf_autoprobe ? "1\n" : "0\n";
      },
      [&environment, bdf = pci.bdf()](std::string_view text) -> Result<void> {
        TEEIO_ASSIGN(const bool on, parse_truth(text));
        environment.settings.change(bdf, [on](FunctionSettings& s) { s.vf_autoprobe = on; });
        return {};
      });
  std::size_t index = 0;
  for (hw::PciFunction* vf : topology.virtual_functions(function))
    list.link(fmt::format("{}/virtfn{}", directory, index++), topology.directory(vf->bdf()));
}

}  // namespace teeio::sysfs
