#include "host/sysfs/pci_attributes.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/sysfs/char_devices.h"
#include "host/sysfs/config_attribute.h"
#include "host/sysfs/cpu_text.h"
#include "host/sysfs/interrupt_attributes.h"
#include "host/sysfs/io_and_rom.h"
#include "host/sysfs/numbers.h"
#include "host/sysfs/pci_bus.h"
#include "host/sysfs/pci_identity.h"
#include "host/sysfs/sriov_attributes.h"
#include "host/sysfs/text.h"
#include "host/sysfs/tsm_attributes.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

/// Linux: CONFIG_NODES_SHIFT of a distribution's kernel; only node 0 is online.
constexpr std::int32_t kOnlineNodes = 1;

/// What the parts of one function's directory are made with.
struct Making {
  NodeList& list;
  const Environment& environment;
  const Topology& topology;
  const Host::Function& function;
  const std::string& directory;
  hw::PciFunction& pci;
  Bdf bdf;

  template <class Show>
  void read_only(std::string_view name, Show show, std::uint32_t mode = 0444) const {
    list.text(directory + "/" + std::string(name), mode,
              [show]() -> Result<std::string> { return show(); });
  }
  void read_write(std::string_view name, Attribute::Show show, Attribute::Store store) const {
    list.text(directory + "/" + std::string(name), 0644, std::move(show), std::move(store));
  }
  void write_only(std::string_view name, std::uint32_t mode, Attribute::Store store) const {
    list.text(directory + "/" + std::string(name), mode, {}, std::move(store));
  }
};

void add_identity(const Making& make) {
  hw::PciFunction& pci = make.pci;
  const auto number = [&](std::string_view name, auto field, int digits) {
    make.read_only(name, [&pci, field, digits] {
      return fmt::format("0x{:0{}x}\n", pci_identity(pci).*field, digits);
    });
  };
  number("vendor", &PciIdentity::vendor, 4);
  number("device", &PciIdentity::device, 4);
  number("subsystem_vendor", &PciIdentity::subsystem_vendor, 4);
  number("subsystem_device", &PciIdentity::subsystem_device, 4);
  number("class", &PciIdentity::class_code, 6);
  number("revision", &PciIdentity::revision, 2);
  make.read_only("modalias", [&pci] { return modalias(pci_identity(pci)) + "\n"; });
  if (serial_number(pci))
    make.read_only(
        "serial_number", [&pci] { return serial_number(pci).value_or("") + "\n"; }, 0400);
}

void add_environment_facts(const Making& make) {
  hw::PciFunction& pci = make.pci;
  const Environment& environment = make.environment;
  const Bdf bdf = make.bdf;
  const unsigned cpus = environment.host.cpus();
  make.read_only("local_cpus", [cpus] { return cpu_mask(cpus) + "\n"; });
  make.read_only("local_cpulist", [cpus] { return cpu_list(cpus) + "\n"; });
  make.read_only("power_state", [&pci] { return fmt::format("{}\n", power_state(pci)); });
  make.read_only("dma_mask_bits", [] { return std::string("32\n"); });
  make.read_only("consistent_dma_mask_bits", [] { return std::string("32\n"); });
  make.read_write(
      "uevent",
      [&pci, driver = make.function.driver]() -> Result<std::string> {
        return uevent(pci, driver);
      },
      store_uevent);
  make.read_write(
      "numa_node",
      [&environment, bdf]() -> Result<std::string> {
        return fmt::format("{}\n", environment.settings.of(bdf).numa_node);
      },
      [&environment, bdf](std::string_view text) -> Result<void> {
        const auto node = parse_int(text);
        if (!node || *node < -1 || *node >= kOnlineNodes)
          return fail(Errno::kInval, "not the number of an online node");
        environment.settings.change(bdf, [&](FunctionSettings& s) { s.numa_node = *node; });
        return {};
      });
}

/// A flag that software keeps and nothing here looks at.
void add_flag(const Making& make, std::string_view name, bool FunctionSettings::* flag) {
  const Environment& environment = make.environment;
  make.read_write(
      name,
      [&environment, bdf = make.bdf, flag]() -> Result<std::string> {
        return environment.settings.of(bdf).*flag ? "1\n" : "0\n";
      },
      [&environment, bdf = make.bdf, flag](std::string_view text) -> Result<void> {
        const auto value = parse_unsigned(text);
        if (!value) return fail(Errno::kInval, "not a number");
        environment.settings.change(bdf, [&](FunctionSettings& s) { s.*flag = *value != 0; });
        return {};
      });
}

/// pci_enable_device() and pci_disable_device(): the first enable decodes its BARs, the last
/// disable ends its DMA.
Result<void> change_enables(const Environment& environment, hw::PciFunction& pci,
                            std::int32_t change) {
  const std::int32_t before = environment.settings.of(pci.bdf()).enables;
  if (change < 0 && before == 0) return fail(Errno::kIo, "the function is not enabled");
  environment.settings.change(pci.bdf(), [&](FunctionSettings& s) { s.enables += change; });
  const std::uint32_t command = pci.config_read(hw::kCommand, 2);
  if (before == 0 && pci.physical_function() == nullptr)
    pci.config_write(hw::kCommand, 2, command | hw::kCommandMemorySpace);
  if (before + change == 0)
    pci.config_write(hw::kCommand, 2, command & ~std::uint32_t{hw::kCommandBusMaster});
  return {};
}

/// enable_store(): only of a function that nobody drives.
Result<void> store_enable(const Environment& environment, hw::PciFunction& pci, bool driven,
                          std::string_view text) {
  const auto value = parse_unsigned(text);
  if (!value) return fail(Errno::kInval, "not a number");
  if (driven) return fail(Errno::kBusy, "a driver has the function");
  Result<void> done;
  environment.host.with_device_lock(
      pci.bdf(), [&] { done = change_enables(environment, pci, *value != 0 ? 1 : -1); });
  return done;
}

void add_enable(const Making& make) {
  const Environment& environment = make.environment;
  const bool bridge = hw::is_bridge(make.pci);
  make.read_write(
      "enable",
      [&environment, bdf = make.bdf, bridge]() -> Result<std::string> {
        const bool driver_has = bridge || environment.host.in_use(bdf);
        return fmt::format("{}\n", environment.settings.of(bdf).enables + (driver_has ? 1 : 0));
      },
      [&environment, &pci = make.pci,
       driven = !make.function.driver.empty() || make.function.leaving](std::string_view text)
          -> Result<void> { return store_enable(environment, pci, driven, text); });
}

void add_driver_override(const Making& make) {
  const Environment& environment = make.environment;
  make.read_write(
      "driver_override",
      [&environment, bdf = make.bdf]() -> Result<std::string> {
        const std::string name = environment.settings.of(bdf).driver_override;
        return name.empty() ? "(null)\n" : name + "\n";
      },
      [&environment, bdf = make.bdf](std::string_view text) -> Result<void> {
        if (text.size() >= kPageSize - 1) return fail(Errno::kInval, "the name is too long");
        text = text.substr(0, text.find('\0'));
        const std::string name(text.substr(0, text.find('\n')));
        environment.settings.change(bdf, [&](FunctionSettings& s) { s.driver_override = name; });
        return {};
      });
}

/// What resets the function now: what a program chose, else all there is.
std::vector<std::string> methods_in_use(const Environment& environment, hw::PciFunction& pci,
                                        bool alone) {
  return environment.settings.of(pci.bdf()).reset_methods.value_or(reset_methods(pci, alone));
}

/// reset_method_store(): names the function has, separated by blanks.
Result<std::optional<std::vector<std::string>>> parse_methods(
    std::string_view text, const std::vector<std::string>& supported) {
  text = trimmed(text);
  if (text == "default") return std::nullopt;
  std::vector<std::string> chosen;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const std::string name(text.substr(0, blank));
    text = blank == std::string_view::npos ? "" : text.substr(blank + 1);
    if (name.empty()) continue;
    if (std::ranges::find(supported, name) == supported.end())
      return fail(Errno::kInval, "the function has no such way of being reset");
    chosen.push_back(name);
  }
  return chosen;
}

void add_reset(const Making& make, bool alone) {
  hw::PciFunction& pci = make.pci;
  const Environment& environment = make.environment;
  if (reset_methods(pci, alone).empty()) return;
  make.write_only(
      "reset", 0200, [&environment, &pci, alone](std::string_view text) -> Result<void> {
        if (parse_unsigned(text) != 1U) return fail(Errno::kInval, "reset takes 1");
        if (methods_in_use(environment, pci, alone).empty())
          return fail(Errno::kNoTty, "every way of resetting the function was switched off");
        return environment.host.reset(pci.bdf());
      });
  make.read_write(
      "reset_method",
      [&environment, &pci, alone]() -> Result<std::string> {
        const auto methods = methods_in_use(environment, pci, alone);
        return methods.empty() ? std::string() : fmt::format("{}\n", fmt::join(methods, " "));
      },
      [&environment, &pci, alone](std::string_view text) -> Result<void> {
        TEEIO_ASSIGN(const auto chosen, parse_methods(text, reset_methods(pci, alone)));
        environment.settings.change(pci.bdf(),
                                    [&](FunctionSettings& s) { s.reset_methods = chosen; });
        return {};
      });
}

/// remove_store() and dev_rescan_store(); a VF has neither.
void add_hotplug(const Making& make) {
  const Environment& environment = make.environment;
  make.write_only("remove", 0220,
                  [&environment, bdf = make.bdf](std::string_view text) -> Result<void> {
                    const auto value = parse_unsigned(text);
                    if (!value) return fail(Errno::kInval, "not a number");
                    if (*value == 0) return {};
                    environment.host.remove(bdf);
                    environment.refresh();
                    return {};
                  });
  make.write_only("rescan", 0200, [&environment, bdf = make.bdf](std::string_view text) {
    return store_rescan(environment, text, bdf);
  });
}

void add_bars(const Making& make) {
  const auto refuse_read = [](std::uint64_t, std::span<std::byte>) -> Result<std::size_t> {
    return fail(Errno::kIo, "a memory BAR can only be mapped");
  };
  const auto refuse_write = [](std::uint64_t, ByteView) -> Result<std::size_t> {
    return fail(Errno::kIo, "a memory BAR can only be mapped");
  };
  Host& host = make.environment.host;
  const auto unmap = [&host](mm::MappedFile& file) { host.unmap_bar(file); };
  for (std::size_t i = 0; i < hw::kBarCount; ++i) {
    const hw::Bar& bar = make.pci.bars().at(i);
    if (bar.kind == hw::Bar::Kind::kNone) continue;
    const std::string path = fmt::format("{}/resource{}", make.directory, i);
    if (bar.kind == hw::Bar::Kind::kIo) {
      add_io_bar(make.list, make.environment, path, make.bdf, bar);
      continue;
    }
    const auto map = [&host, bdf = make.bdf, i](mm::MappedFile& file, std::uint64_t offset,
                                                std::uint64_t length) {
      return host.map_bar(bdf, i, file, offset, length);
    };
    make.list.binary(path, 0600, bar.size, refuse_read, refuse_write, map, unmap);
    if (bar.prefetchable)
      make.list.binary(path + "_wc", 0600, bar.size, refuse_read, refuse_write, map, unmap);
  }
}

void add_link_state(const Making& make) {
  hw::PciFunction& pci = make.pci;
  if (!pci_link(pci)) return;
  const auto state = [&](std::string_view name, auto field) {
    make.read_only(
        name, [&pci, field] { return fmt::format("{}\n", pci_link(pci).value_or(Link{}).*field); });
  };
  state("max_link_speed", &Link::max_speed);
  state("max_link_width", &Link::max_width);
  state("current_link_speed", &Link::speed);
  state("current_link_width", &Link::width);
}

void add_bridge(const Making& make) {
  hw::PciFunction& pci = make.pci;
  if (!hw::is_bridge(pci)) return;
  make.read_only("secondary_bus_number",
                 [&pci] { return fmt::format("{}\n", pci.config_read(0x19, 1)); });
  make.read_only("subordinate_bus_number",
                 [&pci] { return fmt::format("{}\n", pci.config_read(0x1a, 1)); });
}

void add_vfio_dev(const Making& make) {
  const auto minor = make.function.vfio_minor;
  if (!minor) return;
  make.list.directory(make.directory + "/vfio-dev");
  const std::string directory = fmt::format("{}/vfio-dev/vfio{}", make.directory, *minor);
  add_char_device(make.list, {.directory = directory,
                              .class_name = "vfio-dev",
                              .name = fmt::format("vfio{}", *minor),
                              .major = kVfioMajor,
                              .minor = *minor,
                              .node = fmt::format("vfio/devices/vfio{}", *minor)});
  make.list.link(directory + "/device", make.directory);
}

void add_links(const Making& make) {
  const Host::Function& function = make.function;
  const std::string bdf = make.bdf.str();
  const std::string bus(kBus);
  make.list.link(bus + "/devices/" + bdf, make.directory);
  make.list.link(make.directory + "/subsystem", bus);
  if (!function.driver.empty()) {
    make.list.link(make.directory + "/driver", bus + "/drivers/" + function.driver);
    make.list.link(bus + "/drivers/" + function.driver + "/" + bdf, make.directory);
  }
  if (function.group) {
    const std::string group = fmt::format("/sys/kernel/iommu_groups/{}", *function.group);
    make.list.link(make.directory + "/iommu_group", group);
    make.list.link(group + "/devices/" + bdf, make.directory);
  }
  if (function.iommu != nullptr) {
    const std::string iommu = "/sys/devices/virtual/iommu/" + function.iommu->sysfs().device;
    make.list.link(make.directory + "/iommu", iommu);
    make.list.link(iommu + "/devices/" + bdf, make.directory);
  }
}

void add_resource(const Making& make) {
  const auto& vfs = make.topology.virtual_functions(make.function);
  hw::PciFunction* first_vf = vfs.empty() ? nullptr : vfs.front();
  make.read_only("resource", [&pci = make.pci, first_vf] { return resources(pci, first_vf); });
}

}  // namespace

void add_function(NodeList& list, const Environment& environment, const Topology& topology,
                  const Host::Function& function) {
  hw::PciFunction& pci = *function.pci;
  const std::string directory = topology.directory(pci.bdf());
  const Making make{list, environment, topology, function, directory, pci, pci.bdf()};
  list.directory(directory);
  add_identity(make);
  add_environment_facts(make);
  add_enable(make);
  add_driver_override(make);
  add_flag(make, "broken_parity_status", &FunctionSettings::broken_parity);
  add_flag(make, "msi_bus", &FunctionSettings::msi_allowed);
  make.read_only("ari_enabled", [vf = pci.physical_function() != nullptr] {
    return std::string(vf ? "1\n" : "0\n");
  });
  add_resource(make);
  add_bars(make);
  add_rom(list, environment, directory, pci);
  add_config(list, environment, directory + "/config", pci);
  add_reset(make,
            topology.is_alone_on_bus(pci.bdf()) && topology.bridge_above(pci.bdf()) != nullptr);
  if (pci.physical_function() == nullptr) add_hotplug(make);
  add_interrupts(list, function, directory);
  add_doe_features(make.list, make.environment, make.directory, make.bdf);
  add_link_state(make);
  add_bridge(make);
  add_vfio_dev(make);
  add_links(make);
  add_sriov(list, environment, topology, function, directory);
  add_tsm(list, environment, topology, function, directory);
}

}  // namespace teeio::sysfs
