#include "host/sysfs/pci_bus.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "host/sysfs/pci_identity.h"
#include "host/sysfs/text.h"
#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

std::uint32_t id_of(hw::PciFunction& function) {
  const PciIdentity id = pci_identity(function);
  return static_cast<std::uint32_t>(id.vendor) << 16U | id.device;
}

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
  return wanted.empty() ? environment.settings.has_id(id_of(*function.pci)) : wanted == kVfioDriver;
}

/// bind_store(): ENODEV when the driver does not match.
Result<void> store_bind(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  if (!vfio_matches(environment, function))
    return fail(Errno::kNoDev, "vfio-pci was not told to take this function");
  if (!function.driver.empty()) return fail(Errno::kBusy, "the function has a driver");
  const auto bound = environment.host.bind_vfio(function.pci->bdf());
  environment.refresh();
  return bound;
}

/// unbind_store()
Result<void> store_unbind(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  if (function.driver != kVfioDriver) return fail(Errno::kNoDev, "vfio-pci has it not");
  const auto unbound = environment.host.unbind_vfio(function.pci->bdf());
  environment.refresh();
  return unbound;
}

/// drivers_probe_store(): success too when no driver wants the function.
Result<void> store_probe(const Environment& environment, std::string_view text) {
  TEEIO_ASSIGN(const Host::Function function, named(environment.host, text));
  if (!function.driver.empty() || !vfio_matches(environment, function)) return {};
  const auto bound = environment.host.bind_vfio(function.pci->bdf());
  environment.refresh();
  return bound;
}

/// Vendor and device, the first two of the up to seven hexadecimal numbers.
std::optional<std::uint32_t> parse_id(std::string_view text) {
  text = trimmed(text);
  std::uint32_t id = 0;
  for (int i = 0; i < 2; ++i) {
    const std::size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) return std::nullopt;
    text.remove_prefix(start);
    std::uint16_t word = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), word, 16);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    id = id << 16U | word;
  }
  return id;
}

/// new_id_store(): the id is there from now on, and functions without a driver
/// that have it are probed.
Result<void> store_new_id(const Environment& environment, std::string_view text) {
  const auto id = parse_id(text);
  if (!id) return fail(Errno::kInval, "new_id takes a vendor and a device in hexadecimal");
  if (!environment.settings.add_id(*id)) return fail(Errno::kExist, "vfio-pci has the id already");
  for (const Host::Function& function : environment.host.functions())
    probe_function(environment, function);
  environment.refresh();
  return {};
}

Result<void> store_remove_id(const Environment& environment, std::string_view text) {
  const auto id = parse_id(text);
  if (!id) return fail(Errno::kInval, "remove_id takes a vendor and a device in hexadecimal");
  if (!environment.settings.remove_id(*id)) return fail(Errno::kNoDev, "vfio-pci has no such id");
  return {};
}

using Store = Result<void> (*)(const Environment&, std::string_view);

void write_only(NodeList& list, const Environment& environment, const std::string& path,
                Store store) {
  list.text(path, 0200, {},
            [&environment, store](std::string_view text) { return store(environment, text); });
}

}  // namespace

void probe_function(const Environment& environment, const Host::Function& function) {
  if (function.driver.empty() && vfio_matches(environment, function))
    (void)environment.host.bind_vfio(function.pci->bdf());  // goes on, as driver_attach()
}

void add_pci_bus(NodeList& list, const Environment& environment, const Topology& topology) {
  const std::string bus(kBus);
  for (const char* name : {"", "/devices", "/drivers", "/drivers/vfio-pci", "/slots"})
    list.directory(bus + name);
  write_only(list, environment, bus + "/drivers_probe", store_probe);
  list.text(bus + "/drivers_autoprobe", 0444, []() -> Result<std::string> { return "1\n"; });
  const std::string vfio = bus + "/drivers/" + std::string(kVfioDriver);
  write_only(list, environment, vfio + "/bind", store_bind);
  write_only(list, environment, vfio + "/unbind", store_unbind);
  write_only(list, environment, vfio + "/new_id", store_new_id);
  write_only(list, environment, vfio + "/remove_id", store_remove_id);

  std::vector<std::string> others;
  for (const Host::Function& function : topology.functions())
    if (!function.driver.empty() && function.driver != kVfioDriver &&
        std::ranges::find(others, function.driver) == others.end())
      others.push_back(function.driver);
  for (const std::string& driver : others) list.directory(bus + "/drivers/" + driver);
}

}  // namespace teeio::sysfs
