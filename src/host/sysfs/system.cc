#include "host/sysfs/system.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "host/iommu/iommu.h"
#include "host/sysfs/bus_class.h"
#include "host/sysfs/char_devices.h"
#include "host/sysfs/fault_folders.h"
#include "host/sysfs/ide_streams.h"
#include "host/sysfs/modules.h"
#include "host/sysfs/numbers.h"
#include "host/sysfs/pci_attributes.h"
#include "host/sysfs/pci_bus.h"
#include "host/sysfs/proc_bus.h"
#include "host/sysfs/text.h"

namespace teeio::sysfs {
namespace {

using How = schedule::Touch::How;
constexpr std::uint64_t kChanges = 0, kFollowed = 1;  ///< elements of the tree's books

std::string show_reserved_regions(const iommu::Iommu& iommu) {
  std::string text;
  for (const iommu::ReservedRegion& region : iommu.reserved_regions())
    text += fmt::format("0x{:016x} 0x{:016x} {}\n", raw(region.first), raw(region.last),
                        region.kind == iommu::ReservedRegion::Kind::kMsi ? "msi" : "reserved");
  return text;
}

/// iommu_group_store_type(). The default domain is the machine file's choice.
Result<void> store_group_type(std::string_view text) {
  const std::string_view type = trimmed(text);
  if (type == "DMA" || type == "auto") return {};
  if (type == "identity" || type == "DMA-FQ")
    return fail(Errno::kPerm, "the group's default domain is fixed at boot");
  return fail(Errno::kInval, "not a kind of default domain");
}

/// Number and minor of each group that vfio-pci has a function of.
std::map<std::uint32_t, std::uint32_t> vfio_groups(const Topology& topology) {
  std::map<std::uint32_t, std::uint32_t> groups;
  for (const Host::Function& function : topology.functions())
    if (function.group && function.group_minor)
      groups.emplace(*function.group, *function.group_minor);
  return groups;
}

void add_host_bridge(NodeList& list, std::uint16_t domain) {
  const std::string directory = Topology::host_bridge(domain);
  list.directory(directory);
  list.text(directory + "/uevent", 0644, []() -> Result<std::string> { return ""; }, store_uevent);
}

}  // namespace

System::System(Host& host) : host_(host), environment_{host, settings_, [this] { refresh(); }} {
  tree_.before_looks([this] { follow(); });
}

void System::refresh() {
  turn_.take(kChanges, How::kUpdate);
  const schedule::RawLockGuard guard(raw_);
  ++changes_;
}

void System::follow() {
  for (;;) {
    std::uint64_t seen = 0;
    turn_.take(kChanges, How::kRead);
    turn_.touch(kFollowed, How::kRead);
    {
      const schedule::RawLockGuard guard(raw_);
      if (followed_ == changes_) return;
      seen = changes_;
    }
    build();
    turn_.take(kFollowed, How::kUpdate);  // the highest of two is the same in either order
    const schedule::RawLockGuard guard(raw_);
    followed_ = std::max(followed_, seen);
  }
}

void System::build() {
  const std::uint64_t view = tree_.begin_view();
  const Topology topology(host_.functions());
  NodeList list;
  std::set<std::uint16_t> domains;
  std::set<Bdf> present;
  for (const Host::Function& function : topology.functions()) present.insert(function.pci->bdf());
  settings_.keep(present);
  for (const Host::Function& function : topology.functions()) {
    const Bdf bdf = function.pci->bdf();
    settings_.arrive(bdf, function.driver == kVfioDriver ? function.driver : "");
    if (domains.insert(bdf.domain).second) add_host_bridge(list, bdf.domain);
    add_function(list, environment_, topology, function);
  }
  add_pci_bus(list, environment_, topology);
  add_bus_class(list, environment_, topology);
  add_proc_bus(list, environment_, topology);
  add_modules(list, environment_);
  add_fault_folders(list, environment_);
  add_classes(list);
  add_ide_streams(list, environment_, topology);
  add_groups(list, topology);
  add_vfio_groups(list, topology);
  add_iommus(list, topology);
  add_devices(list, topology);
  tree_.replace(view, list.take());
}

/// Each TSM is below its platform's device (Linux drivers/virt/coco/tsm-core.c).
void System::add_classes(NodeList& list) {
  for (const char* name : {"tsm", "vfio", "vfio-dev", "iommu"})
    list.directory(std::string("/sys/class/") + name);
  for (const std::uint32_t number : host_.tsm().tsms()) {
    const std::string platform = "/sys/devices/" + host_.tsm().platform_device(number);
    list.directory(platform);
    list.directory(platform + "/tsm");
    const std::string directory = fmt::format("{}/tsm/tsm{}", platform, number);
    list.directory(directory);
    list.link(directory + "/device", platform);
    list.link(directory + "/subsystem", "/sys/class/tsm");
    list.text(
        directory + "/uevent", 0644, []() -> Result<std::string> { return ""; }, store_uevent);
    list.link(fmt::format("/sys/class/tsm/tsm{}", number), directory);
  }
}

std::vector<std::string> System::platform_devices() {
  std::vector<std::string> paths;
  for (const std::uint32_t number : host_.tsm().tsms())
    paths.push_back("/sys/devices/" + host_.tsm().platform_device(number));
  if (host_.fail_nth() != nullptr) paths.emplace_back(kDebugfs);
  for (const std::string& node : host_.vendor_nodes()) paths.push_back("/dev/" + node);
  return paths;
}

void System::add_groups(NodeList& list, const Topology& topology) {
  const std::string root = "/sys/kernel/iommu_groups";
  list.directory(root);
  std::set<std::uint32_t> groups;
  for (const Host::Function& function : topology.functions()) {
    if (!function.group || !groups.insert(*function.group).second) continue;
    const std::string directory = fmt::format("{}/{}", root, *function.group);
    list.directory(directory);
    list.directory(directory + "/devices");
    list.text(
        directory + "/type", 0644, []() -> Result<std::string> { return "DMA\n"; },
        store_group_type);
    list.text(directory + "/reserved_regions", 0444,
              [iommu = function.iommu]() -> Result<std::string> {
                return iommu != nullptr ? show_reserved_regions(*iommu) : "";
              });
  }
}

/// The class "vfio": a virtual device for each group that vfio-pci has a function of. Source:
/// Linux drivers/vfio/group.c, vfio_create_group().
void System::add_vfio_groups(NodeList& list, const Topology& topology) {
  list.directory("/sys/devices/virtual/vfio");
  for (const auto& [group, minor] : vfio_groups(topology)) {
    add_char_device(list, {.directory = fmt::format("/sys/devices/virtual/vfio/{}", group),
                           .class_name = "vfio",
                           .name = fmt::format("{}", group),
                           .major = kVfioGroupMajor,
                           .minor = minor,
                           .node = fmt::format("vfio/{}", group)});
  }
}

/// Source: Linux drivers/iommu/iommu-sysfs.c. An IOMMU's attributes are its driver's.
void System::add_iommus(NodeList& list, const Topology& topology) {
  const std::string root = "/sys/devices/virtual/iommu";
  list.directory(root);
  std::set<std::string> shown;
  for (const Host::Function& function : topology.functions()) {
    if (function.iommu == nullptr) continue;
    const iommu::SysfsInfo info = function.iommu->sysfs();
    if (!shown.insert(info.device).second) continue;
    const std::string directory = root + "/" + info.device;
    list.directory(directory);
    list.directory(directory + "/devices");
    list.link(directory + "/subsystem", "/sys/class/iommu");
    list.link("/sys/class/iommu/" + info.device, directory);
    list.text(
        directory + "/uevent", 0644, []() -> Result<std::string> { return ""; }, store_uevent);
    std::set<std::string> groups;
    for (const auto& [name, text] : info.attributes) {
      const std::string group = name.substr(0, name.find('/'));
      if (group != name && groups.insert(group).second) list.directory(directory + "/" + group);
      list.text(directory + "/" + name, 0444, [text]() -> Result<std::string> { return text; });
    }
  }
}

void System::add_devices(NodeList& list, const Topology& topology) {
  add_misc_devices(list, host_);
  list.device("/dev/iommu", 0660, kMiscMajor, kIommuMinor);
  list.device("/dev/vfio/vfio", 0666, kMiscMajor, kVfioMinor);
  if (host_.shows_kvm()) list.device("/dev/kvm", 0660, kMiscMajor, kKvmMinor);
  std::uint32_t minor = kIommuMinor;
  for (const std::string& node : host_.vendor_nodes())
    list.device("/dev/" + node, 0600, kMiscMajor, ++minor);
  list.directory("/dev/vfio");
  list.directory("/dev/vfio/devices");
  for (const Host::Function& function : topology.functions())
    if (function.vfio_minor)
      list.device(fmt::format("/dev/vfio/devices/vfio{}", *function.vfio_minor), 0600, kVfioMajor,
                  *function.vfio_minor);
  for (const auto& [group, group_minor] : vfio_groups(topology))
    list.device(fmt::format("/dev/vfio/{}", group), 0600, kVfioGroupMajor, group_minor);
}

}  // namespace teeio::sysfs
