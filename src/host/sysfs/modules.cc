#include "host/sysfs/modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "host/sysfs/char_devices.h"
#include "host/sysfs/text.h"

namespace teeio::sysfs {
namespace {

struct Parameter {
  const char* name;
  std::uint32_t mode;
  const char* text = "N\n";
};

struct Module {
  const char* name;
  /// Modules that use it (struct module_use).
  std::span<const char* const> holders;
  std::span<const Parameter> parameters;
  bool counts_open_devices = false;
};

// Source: module_param() in drivers/vfio and drivers/iommu/iommufd; without CONFIG_VFIO_NOIOMMU
// vfio has no parameter. Each is a bool that is off, but dma_entry_limit, and enable_sriov, which
// has its own function.
constexpr std::array kPciParameters = {
    Parameter{"disable_denylist", 0444}, Parameter{"disable_idle_d3", 0644},
    Parameter{"disable_vga", 0444}, Parameter{"nointxmask", 0644}};
constexpr std::array kType1Parameters = {Parameter{"allow_unsafe_interrupts", 0644},
                                         Parameter{"disable_hugepages", 0644},
                                         Parameter{"dma_entry_limit", 0644, "65535\n"}};
constexpr std::array kIommufdParameters = {Parameter{"allow_unsafe_interrupts", 0644}};

constexpr std::array kPciCoreHolders = {"vfio_pci"};
constexpr std::array kVfioHolders = {"vfio_pci", "vfio_pci_core", "vfio_iommu_type1"};
constexpr std::array kIommufdHolders = {"vfio"};
constexpr std::array kIrqbypassHolders = {"vfio_pci_core"};

constexpr std::array kModules = {Module{"vfio_pci", {}, kPciParameters, true},
                                 Module{"vfio_pci_core", kPciCoreHolders, {}},
                                 Module{"vfio", kVfioHolders, {}},
                                 Module{"vfio_iommu_type1", {}, kType1Parameters},
                                 Module{"iommufd", kIommufdHolders, kIommufdParameters},
                                 Module{"irqbypass", kIrqbypassHolders, {}}};

Result<void> store_off(std::string_view text) {
  TEEIO_ASSIGN(const bool on, parse_truth(text));
  if (on) return fail(Errno::kPerm, "this parameter is fixed at boot here");
  return {};
}

/// Writing what it is works.
Attribute::Store store_same(std::string_view text) {
  if (text == "N\n") return store_off;
  return [text](std::string_view written) -> Result<void> {
    const auto number = parse_unsigned(written);
    if (!number) return fail(Errno::kInval, "not a number");
    if (*number != parse_unsigned(text)) return fail(Errno::kPerm, "this parameter is fixed here");
    return {};
  };
}

void add_enable_sriov(NodeList& list, const Environment& environment) {
  Settings& settings = environment.settings;
  list.text(
      "/sys/module/vfio_pci/parameters/enable_sriov", 0644,
      [&settings]() -> Result<std::string> { return settings.enable_sriov() ? "Y\n" : "N\n"; },
      [&settings](std::string_view text) -> Result<void> {
        TEEIO_ASSIGN(const bool on, parse_truth(text));
        settings.set_enable_sriov(on);
        return {};
      });
}

bool is_there(const Environment& environment, std::string_view module) {
  return module != "vfio_iommu_type1" || environment.host.has_type1();
}

std::size_t open_devices(Host& host) {
  std::size_t count = 0;
  for (const Host::Function& function : host.functions())
    if ((function.driver == kVfioDriver || function.leaving) && host.in_use(function.pci->bdf()))
      ++count;
  return count;
}

void add_module(NodeList& list, const Environment& environment, const Module& module) {
  const std::string directory = std::string("/sys/module/") + module.name;
  list.directory(directory);
  add_written_uevent(list, directory);
  list.text(directory + "/initstate", 0444, []() -> Result<std::string> { return "live\n"; });
  list.text(directory + "/taint", 0444, []() -> Result<std::string> { return "\n"; });
  list.text(directory + "/refcnt", 0444,
            [&host = environment.host,
             held = std::ranges::count_if(
                 module.holders, [&](const char* name) { return is_there(environment, name); }),
             opens = module.counts_open_devices]() -> Result<std::string> {
              return fmt::format("{}\n",
                                 static_cast<std::size_t>(held) + (opens ? open_devices(host) : 0));
            });
  list.directory(directory + "/holders");
  for (const char* holder : module.holders)
    if (is_there(environment, holder))
      list.link(fmt::format("{}/holders/{}", directory, holder),
                std::string("/sys/module/") + holder);
  if (!module.parameters.empty()) list.directory(directory + "/parameters");
  for (const Parameter& parameter : module.parameters)
    list.text(
        fmt::format("{}/parameters/{}", directory, parameter.name), parameter.mode,
        [text = parameter.text]() -> Result<std::string> { return text; },
        parameter.mode != 0644 ? Attribute::Store() : store_same(parameter.text));
}

}  // namespace

void add_modules(NodeList& list, const Environment& environment) {
  list.directory("/sys/module");
  for (const Module& module : kModules)
    if (is_there(environment, module.name)) add_module(list, environment, module);
  add_enable_sriov(list, environment);
  const std::string driver = std::string(kBus) + "/drivers/" + std::string(kVfioDriver);
  list.link(driver + "/module", "/sys/module/vfio_pci");
  list.directory("/sys/module/vfio_pci/drivers");
  list.link("/sys/module/vfio_pci/drivers/pci:vfio-pci", driver);
}

}  // namespace teeio::sysfs
