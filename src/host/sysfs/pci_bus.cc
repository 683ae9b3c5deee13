#include "host/sysfs/pci_bus.h"

#include <algorithm>
#include <optional>

#include "host/sysfs/char_devices.h"
#include "host/sysfs/pci_identity.h"
#include "host/sysfs/text.h"
#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

/// The function that `text` names as its directory is called.
Result<Host::Function> named(Host& host, std::string_view text) {
  const std::string_view name = trimmed(text);
  for (const Host::Function& function : host.functions())
    if (function.pci->bdf().str() == name) return function;
  return fail(Errno::kNoDev, "there is no such function on the bus");
}

/// Whether vfio-pci takes the function: only when told to, by name or by id.
bool vfio_matches(const Environment& environment, const Host::Function& function) {
  if (hw::is_bridge(*function.pci)) return false;
  const std::string wanted = environment.settings.of(function.pci->bdf()).driver_override;
  if (!wanted.empty()) return wanted == kVfioDriver;
  hw::PciFunction* const pf = function.pci->physical_function();
  if (pf != nullptr && !environment.settings.of(pf->bdf()).vf_autoprobe)
    return false;  // pci_device_can_probe()
  const DynamicId id = DynamicId::of(pci_identity(*function.pci));
  return environment.settings.with_ids([&](const DynamicIds& ids) { return ids.match(id); });
}

/// The machine's driver of a card's own kind takes PFs that nobody has promised away.
bool native_matches(const Environment& environment, const Host::Function& function) {
  if (hw::is_bridge(*function.pci) || function.pci->physical_function() != nullptr) return false;
  const std::string wanted = environment.settings.of(function.pci->bdf()).driver_override;
  return environment.host.has_native_driver() && (wanted.empty() || wanted == kNativeDriver);
}

struct PciDriver {
  std::string_view name;
  bool (*matches)(const Environment&, const Host::Function&);
  Result<void> (Host::*bind)(Bdf);
  Result<void> (Host::*unbind)(Bdf);
};
constexpr PciDriver kVfio{kVfioDriver, vfio_matches, &Host::bind_vfio, &Host::unbind_vfio};
constexpr PciDriver kNative{kNativeDriver, native_matches, &Host::bind_native,
                            &Host::unbind_native};

/// bind_store(): ENODEV when the driver does not match.
template <const PciDriver& Driver>
Result<void> store_bind(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  if (!Driver.matches(environment, function))
    return fail(Errno::kNoDev, "the driver was not told to take this function");
  if (!function.driver.empty()) return fail(Errno::kBusy, "the function has a driver");
  const auto bound = (environment.host.*Driver.bind)(function.pci->bdf());
  environment.refresh();
  return bound;
}

/// unbind_store()
template <const PciDriver& Driver>
Result<void> store_unbind(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  const bool waits_for_it = function.leaving && Driver.name == kVfioDriver;
  if (function.driver != Driver.name && !waits_for_it)
    return fail(Errno::kNoDev, "the driver has it not");
  const auto unbound = (environment.host.*Driver.unbind)(function.pci->bdf());
  environment.refresh();
  return unbound;
}

/// drivers_probe_store(): success too when no driver wants the function.
Result<void> store_probe(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  probe_function(environment, function);
  environment.refresh();
  return {};
}

/// rescan_store(), of every bus.
Result<void> store_rescan_all(const Environment& environment, std::string_view text) {
  return store_rescan(environment, text, std::nullopt);
}

/// What was removed is found again and probed.
void rescan(const Environment& environment, std::optional<Bdf> bus) {
  const std::vector<Bdf> arrived = environment.host.rescan(bus);
  environment.refresh();
  if (arrived.empty() || !environment.settings.autoprobe()) return;
  for (const Host::Function& function : environment.host.functions())
    if (std::ranges::find(arrived, function.pci->bdf()) != arrived.end())
      probe_function(environment, function);
  environment.refresh();
}

/// new_id_store(): the id is there from now on, and functions without a driver
/// that have it are probed.
Result<void> store_new_id(const Environment& environment, std::string_view text) {
  const auto written = parse_dynamic_id(text);
  if (!written) return fail(Errno::kInval, "new_id takes a vendor and a device in hexadecimal");
  if (written->driver_data != 0)
    return fail(Errno::kInval, "no entry of vfio-pci's table has this driver_data");
  const bool unique = written->fields != 7;
  if (!environment.settings.with_ids([&](DynamicIds& ids) { return ids.add(written->id, unique); }))
    return fail(Errno::kExist, "vfio-pci has the id already");
  for (const Host::Function& function : environment.host.functions())
    probe_function(environment, function);
  environment.refresh();
  return {};
}

Result<void> store_remove_id(const Environment& environment, std::string_view text) {
  const auto written = parse_dynamic_id(text);
  if (!written) return fail(Errno::kInval, "remove_id takes a vendor and a device in hexadecimal");
  if (!environment.settings.with_ids([&](DynamicIds& ids) { return ids.remove(written->id); }))
    return fail(Errno::kNoDev, "vfio-pci has no such id");
  return {};
}

using Store = Result<void> (*)(const Environment&, std::string_view);

void write_only(NodeList& list, const Environment& environment, const std::string& path,
                Store store) {
  list.text(
      path, 0200, {},
      [&environment, store](std::string_view text) { return store(environment, text); },
      [] { return true; });
}

}  // namespace

void probe_function(const Environment& environment, const Host::Function& function) {
  if (!function.driver.empty() || function.leaving) return;
  for (const PciDriver* driver : {&kNative, &kVfio})
    if (driver->matches(environment, function) &&
        (environment.host.*driver->bind)(function.pci->bdf()))
      return;  // who fails to, leaves it to the next
}

Result<void> store_rescan(const Environment& environment, std::string_view text,
                          std::optional<Bdf> bus) {
  const auto value = parse_unsigned(text);
  if (!value) return fail(Errno::kInval, "not a number");
  if (*value != 0) rescan(environment, bus);
  return {};
}

void add_pci_bus(NodeList& list, const Environment& environment, const Topology& topology) {
  const std::string bus(kBus);
  for (const char* name : {"", "/devices", "/drivers", "/drivers/vfio-pci", "/slots"})
    list.directory(bus + name);
  add_written_uevent(list, bus);
  write_only(list, environment, bus + "/drivers_probe", store_probe);
  Settings& settings = environment.settings;
  list.text(
      bus + "/drivers_autoprobe", 0644,
      [&settings]() -> Result<std::string> { return settings.autoprobe() ? "1\n" : "0\n"; },
      [&settings](std::string_view text) -> Result<void> {  // drivers_autoprobe_store()
        settings.set_autoprobe(!text.starts_with('0'));
        return {};
      });
  const std::string vfio = bus + "/drivers/" + std::string(kVfioDriver);
  add_written_uevent(list, vfio);
  write_only(list, environment, vfio + "/bind", store_bind<kVfio>);
  write_only(list, environment, vfio + "/unbind", store_unbind<kVfio>);
  write_only(list, environment, vfio + "/new_id", store_new_id);
  write_only(list, environment, vfio + "/remove_id", store_remove_id);

  write_only(list, environment, bus + "/rescan", store_rescan_all);
  if (environment.host.has_native_driver()) {
    const std::string native = bus + "/drivers/" + std::string(kNativeDriver);
    list.directory(native);
    add_written_uevent(list, native);
    write_only(list, environment, native + "/bind", store_bind<kNative>);
    write_only(list, environment, native + "/unbind", store_unbind<kNative>);
  }

  std::vector<std::string> others;
  for (const Host::Function& function : topology.functions())
    if (!function.driver.empty() && function.driver != kVfioDriver &&
        function.driver != kNativeDriver &&
        std::ranges::find(others, function.driver) == others.end())
      others.push_back(function.driver);
  for (const std::string& driver : others) {
    list.directory(bus + "/drivers/" + driver);
    add_written_uevent(list, bus + "/drivers/" + driver);
  }
}

}  // namespace teeio::sysfs
